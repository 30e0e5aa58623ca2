"""What may be declared of escrow."""
