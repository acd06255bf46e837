"""The documents of the API, one noun a file."""
