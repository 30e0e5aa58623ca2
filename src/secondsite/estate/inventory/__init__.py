"""`hosts.yml`: a plain Ansible inventory."""
