"""Ctrl-C, `kill` and a closed terminal are one thing to us: a KeyboardInterrupt."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """One of our own: when a plain one passes through code that is run from text, as that of a
    data class is while it is imported, CPython ends `python -m` by SIGINT, caught or not."""


@contextmanager
def heard() -> Iterator[None]:
    """Meanwhile each signal unwinds the main thread, so that every `with` block cleans up.

    Python does so for SIGINT by itself, but not where it was started with SIGINT ignored, as a
    shell starts what it runs in the background. A SIGHUP that is ignored stays so: that is what
    `nohup` is for.
    """
    replaced = {number: signal.signal(number, unwind) for number in SIGNALS if is_ours(number)}
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def is_ours(number: signal.Signals) -> bool:
    """Whether a signal is to interrupt us."""
    return number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN


def unwind(number: int, frame: FrameType | None) -> NoReturn:
    """The handler."""
    raise Interrupted
