"""The one door from the service to torch, which is imported for the first prediction."""
