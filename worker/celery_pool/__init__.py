"""Celery as the pool of processes that wake-ups start work in."""
