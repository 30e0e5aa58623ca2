"""Durable execution of a plan: attempts, gates, approvals, resume."""
