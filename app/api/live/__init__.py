"""Answers that wait for what is still to come, and caches that refresh themselves."""
