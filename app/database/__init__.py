"""The engine of the database, its sessions, and what its tables are made of."""
