"""Who may talk to whom: the declaration, and what follows from it for each host and each try."""
