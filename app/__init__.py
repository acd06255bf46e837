"""The service: what a client can ask, and what is remembered."""
