"""Reads inline, bundled and uploaded data into arrays. Imports no torch."""
