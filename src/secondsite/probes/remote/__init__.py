"""Scripts that are copied to managed hosts and run there: each a single file of plain Python, none imports another."""
