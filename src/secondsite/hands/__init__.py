"""Hands on hosts: SSH, Ansible, pyinfra, DNS updates. Each outside library has its one door here."""
