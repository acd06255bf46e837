"""Identifiers: opaque, prefixed, sortable by time (as ULIDs: 48 bits of ms, 80 random)."""

import random
import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: ascending, without letters that look like others."""
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
"""Two digits at a time: there are as many ids as requests."""
SHIFTS = range(120, -1, -10)


def new_id(prefix: str) -> str:
    """For example ``job_06b9s1g6k8c3m5w2r7t4x9z1a0``."""
    return spelled(prefix, secrets.randbits(80))


def request_id() -> str:
    """The same for a request. It opens nothing, so nobody has to be kept from guessing it, and the
    system is not asked for chance."""
    return spelled("req", random.getrandbits(80))


def spelled(prefix: str, bits: int) -> str:
    """The id of this moment with these random bits."""
    number = time.time_ns() // 1_000_000 << 80 | bits
    return f"{prefix}_{''.join([PAIRS[number >> shift & 1023] for shift in SHIFTS])}"
