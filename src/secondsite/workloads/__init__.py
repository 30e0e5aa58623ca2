"""Adapters that promote, demote, rejoin and verify one kind of workload."""
