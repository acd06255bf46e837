"""Identifiers: opaque, prefixed, sortable by time (as ULIDs: 48 bits of ms, 80 random)."""

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: ascending, without letters that look like others."""


def new_id(prefix: str) -> str:
    """For example ``job_06b9s1g6k8c3m5w2r7t4x9z1a0``."""
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    digits = "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}"
