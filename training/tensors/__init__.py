"""Numerics, randomness, data and files as tensors."""
