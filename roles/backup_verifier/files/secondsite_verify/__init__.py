"""Backups are verified by restoring them."""
