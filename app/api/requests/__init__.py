"""Reads requests: bodies, uploads, conditions, permissions, sessions."""
