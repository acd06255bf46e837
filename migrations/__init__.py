"""Alembic migrations; run them with ``fallline migrate``."""
