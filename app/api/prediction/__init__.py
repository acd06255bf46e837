"""Answers prediction requests."""
