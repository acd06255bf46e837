"""HTTP only: a route parses, calls one service, returns."""
