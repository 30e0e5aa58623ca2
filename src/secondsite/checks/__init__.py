"""What must be true of an estate: checks as pure rules over facts that hosts told."""
