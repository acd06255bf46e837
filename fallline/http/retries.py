"""When a request is sent again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

BUSY = frozenset({429, 502, 503, 504})
"""The answers that say: not now. 502 and 504 are a proxy's."""


@dataclass(frozen=True)
class Retries:
    """Up to `most` repetitions; the pauses double from `first` up to `longest` seconds.

    A pause is drawn between zero and its bound ("full jitter"), so that many clients that lost one
    service do not come back as one. The service's own Retry-After is a least pause; one of more
    than `patience` seconds is left to the caller.
    """

    most: int = 4
    first: float = 0.25
    longest: float = 8.0
    patience: float = 60.0

    def longer(self) -> Retries:
        """For who looks on for hours: a service may be away for a minute, to be started anew."""
        return replace(self, most=4 * self.most)

    def pause(self, done: int, asked: float = 0.0) -> float | None:
        """Seconds before the repetition after `done` of them, None for no more of them."""
        if done >= self.most or asked > self.patience:
            return None
        return asked + random.uniform(0, self.bound(done))  # noqa: S311 (no secret)

    def bound(self, done: int) -> float:
        """The longest pause after `done` repetitions, the service's wish apart."""
        return min(self.longest, self.first * 2.0**done)


USUAL = Retries()


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that Retry-After asks for, given as a number or as a date; 0 without one."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
