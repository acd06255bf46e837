"""Which of the forms that a route has a client wants: the header ``Accept`` (RFC 9110, 12.5.1)."""

import re

from fastapi import Request

from app.errors import NotAcceptable

JSON = "application/json"
QUALITY = re.compile(r"q\s*=\s*([01](?:\.\d{0,3})?)", re.IGNORECASE)


def wanted(request: Request, offered: tuple[str, ...]) -> str:
    """The offered media type that the client likes best, the first of equals.

    Raises ``NotAcceptable``; without the header everything is welcome.
    """
    header = ",".join(request.headers.getlist("accept"))
    if not header.strip():
        return offered[0]
    ranges = [parsed(item) for item in header.split(",")]
    best = max(offered, key=lambda media_type: liking(media_type, ranges))
    if liking(best, ranges) == 0:
        raise NotAcceptable(f"this can be had as {' or '.join(offered)}")
    return best


def parsed(item: str) -> tuple[str, float]:
    """``text/*;q=0.5`` as a range and how much it is liked."""
    media_range, *parameters = (part.strip() for part in item.split(";"))
    quality = next((m[1] for p in parameters if (m := QUALITY.fullmatch(p))), "1")
    return media_range.lower(), float(quality)


def liking(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """What the most specific range that fits says about a media type; 0: not wanted."""
    for fitting in (media_type, media_type.split("/")[0] + "/*", "*/*"):
        found = [quality for media_range, quality in ranges if media_range == fitting]
        if found:
            return max(found)
    return 0.0
