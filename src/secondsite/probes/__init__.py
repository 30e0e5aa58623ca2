"""What only reads the world: customers' traffic, writability polls, silence, vantage points."""
