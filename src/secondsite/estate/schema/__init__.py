"""The shape of an estate's files: one schema validates, documents and makes the sample."""
