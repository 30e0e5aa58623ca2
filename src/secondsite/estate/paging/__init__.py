"""Who is told of trouble: what may not be declared."""
