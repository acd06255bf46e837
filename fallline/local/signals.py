"""Ctrl-C, `kill` and a closed terminal are one thing to us: a KeyboardInterrupt."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """One of our own: when a plain one passes through code that is run from text, as that of a
    data class is while it is imported, CPython ends `python -m` by SIGINT, caught or not."""


def listen() -> None:
    """Let each signal unwind the main thread, so that every `with` block cleans up.

    Python does so for SIGINT by itself, but not where a shell started us with it ignored.
    """
    for number in SIGNALS:
        signal.signal(number, unwind)


def unwind(number: int, frame: FrameType | None) -> None:
    """The handler."""
    raise Interrupted
