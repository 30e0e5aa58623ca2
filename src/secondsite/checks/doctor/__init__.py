"""What is missing, here and on the hosts, before an estate can be provisioned."""
