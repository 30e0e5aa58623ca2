"""Disaster-recovery runbooks you can prove."""
