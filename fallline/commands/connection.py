"""How a command finds the service."""

from __future__ import annotations

from fallline.client import Client

# Who waits at a terminal wants to know soon.
RETRIES = 2


def connected() -> Client:
    """A client for the service that the environment names."""
    return Client(retries=RETRIES)
