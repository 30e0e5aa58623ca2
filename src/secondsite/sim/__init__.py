"""A simulated world behind the same ports: seeded, and refusing impossible states."""
