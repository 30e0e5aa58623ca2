"""The command line: words in, a service called, an exit code out."""
