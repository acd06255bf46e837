"""Recorded series: written, read, thinned, smoothed."""
