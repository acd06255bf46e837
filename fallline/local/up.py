"""`fallline up` and `fallline serve`: the service on this machine, until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.status import Status

from fallline.errors import StartFailed
from fallline.local.service import LocalService

# What printing raises where nobody can read it: a closed terminal or a full disk is an OSError, and
# for a closed pipe rich ends the program. A service goes on.
NOBODY_READS = (OSError, SystemExit)


def up(home: Path, host: str, port: int, console: Console) -> None:
    """Start everything, say where it is, and stay; returns when it was asked to stop.

    A part that ends is started again. Raises `StartFailed` if one cannot start or ends too often;
    all else has then been stopped.
    """

    def say(sentence: str) -> None:
        with suppress(*NOBODY_READS):
            console.print(sentence, markup=False, soft_wrap=True)

    try:
        status = console.status("Starting")
        with status, LocalService(home, host=host, port=port, report=reporter(status)) as service:
            status.stop()
            with suppress(*NOBODY_READS):
                announce(service, console)
            service.wait(say)
    except KeyboardInterrupt:
        say("Fallline has stopped.")


def serve(home: Path, host: str, port: int, console: Console) -> None:
    """`up` on a broker and a database that are there already: no Redis of its own is started."""
    if not os.environ.get("FALLLINE_BROKER_URL"):
        raise StartFailed(
            "FALLLINE_BROKER_URL is not set. Name your Redis in it (redis://host:6379/0) and your "
            "PostgreSQL in FALLLINE_DATABASE_URL, or let `fallline up` bring its own of both."
        )
    up(home, host, port, console)


def reporter(status: Status) -> Callable[[str], None]:
    """Show each step beside a spinner, or as a line where no terminal could show one."""

    def show(step: str) -> None:
        if status.console.is_terminal:
            status.update(f"{step} …")
            status.start()
        else:
            status.console.print(f"{step} …")

    def report(step: str) -> None:
        with suppress(*NOBODY_READS):
            show(step)

    return report


def announce(service: LocalService, console: Console) -> None:
    """Print where the service is, and its key if this start has made it."""
    key = f"{service.home / 'key'}"
    rows = {"URL": service.url, "Key": key, "Logs": f"{service.home / 'logs'}"}
    if service.key_is_new:
        rows["Key"] = f"{service.key}\n         shown this once, and kept in {key}"
    console.print("Fallline is running; Ctrl-C stops it.", style="bold")
    for name, value in rows.items():
        console.print(f"  {name:<6} {value}", markup=False, soft_wrap=True)
