"""Checks a specification and estimates its cost. Imports no torch."""
