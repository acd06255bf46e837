"""How a command finds the service."""

from __future__ import annotations

from fallline.client import Client
from fallline.http.retries import Retries

# Who waits at a terminal wants to know soon: a wish to wait longer is told instead of honoured.
RETRIES = Retries(most=2, patience=5.0)


def connected() -> Client:
    """A client for the service that the environment names."""
    return Client(retries=RETRIES)
