"""What must pass, or not, through each edge by itself."""
