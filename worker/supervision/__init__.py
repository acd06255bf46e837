"""Starts, watches, drains and restarts the pools."""
