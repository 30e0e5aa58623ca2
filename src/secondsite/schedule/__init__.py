"""When drills are due (empty until its issue)."""
