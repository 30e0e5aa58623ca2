"""The storekeeper: documents, website, git repositories and mail at two sites, one of which may write."""
