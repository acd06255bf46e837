"""Claims, fences, leases: who may work on which row."""
