"""Ctrl-C, `kill` and a closed terminal are one thing to us: a KeyboardInterrupt."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen() -> None:
    """Let each signal unwind the main thread, so that every `with` block cleans up.

    Python does so for SIGINT by itself, but not where a shell started us with it ignored.
    """
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
