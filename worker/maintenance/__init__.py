"""Removes and thins what is no longer needed, and takes back what was lost."""
