"""Migrations, backups and restores: what an operator runs."""
