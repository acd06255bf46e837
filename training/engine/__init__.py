"""Trains jobs block by block, and computes any iteration again."""
