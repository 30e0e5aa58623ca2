"""Records, digests, signatures, bundles, and their verification."""
