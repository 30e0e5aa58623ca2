"""The operators' web console (empty until its issue)."""
