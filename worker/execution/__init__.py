"""Trains claimed jobs: attempts, their members, how they begin and fail."""
