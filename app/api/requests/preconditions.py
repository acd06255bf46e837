"""Conditional requests: what ``If-Match`` asks for."""

import hashlib
import re

from starlette.datastructures import Headers

from app.errors import PreconditionFailed

ETAG = re.compile(r'(W/)?("[^"]*")')


def etag(content: bytes) -> str:
    """The strong validator of these bytes."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def named(header: str, tag: str, *, weakly: bool) -> bool:
    """Whether a list of validators, or ``*``, names this one."""
    if header.strip() == "*":
        return True
    return any(found == tag and (weakly or not weak) for weak, found in ETAG.findall(header))


def must_match(headers: Headers, content: bytes) -> None:
    """Raises ``PreconditionFailed`` when ``If-Match`` names no such answer as this GET would get.

    To be asked within the transaction that changes the thing, once its row is locked.
    """
    given = headers.getlist("if-match")
    if given and not any(named(header, etag(content), weakly=False) for header in given):
        raise PreconditionFailed("it has changed since you have seen it; look again")
