"""The erasure ledger: what must stay away whatever is restored, kept apart from the database it is about."""
