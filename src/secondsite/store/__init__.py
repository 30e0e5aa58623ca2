"""State on disk: run numbers, locks, run folders."""
