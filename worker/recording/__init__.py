"""Turns blocks into transactions that begin with the fence."""
