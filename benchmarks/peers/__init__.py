"""Other sides that run in an environment of their own (``make bench-peers``), as scripts."""
