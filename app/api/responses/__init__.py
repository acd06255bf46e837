"""Writes answers that several routes share."""
