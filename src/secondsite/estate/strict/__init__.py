"""YAML files, read as what hostile hands may have written."""
