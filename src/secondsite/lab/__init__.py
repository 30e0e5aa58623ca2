"""The embedded lab: two datacenters of real systemd hosts on one machine."""
