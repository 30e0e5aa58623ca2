"""Documents for people and tools, made from measured results."""
