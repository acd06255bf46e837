"""The nouns of the API, as a client sees them."""
