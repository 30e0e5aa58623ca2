"""What the declaration lets pass."""
