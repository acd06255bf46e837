"""Computes iterations of recorded jobs again, and answers questions about them."""
