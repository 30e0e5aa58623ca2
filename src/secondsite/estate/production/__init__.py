"""What production is declared to be, where an estate stands for one that nobody may take down to try."""
