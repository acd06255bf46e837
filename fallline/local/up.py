"""`fallline up` and `fallline serve`: the service on this machine, until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.status import Status

from fallline.errors import StartFailed
from fallline.local import signals
from fallline.local.service import LocalService


def up(home: Path, host: str, port: int, console: Console) -> None:
    """Start everything, say where it is, and stay; returns when it was asked to stop.

    Raises `StartFailed` if it cannot start or a part dies; all else has then been stopped.
    """
    signals.listen()
    try:
        status = console.status("Starting")
        with status, LocalService(home, host=host, port=port, report=reporter(status)) as service:
            status.stop()
            announce(service, console)
            service.wait()
    except KeyboardInterrupt:
        console.print("Fallline has stopped.")


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
    if not status.console.is_terminal:
        return lambda step: status.console.print(f"{step} …")

    def report(step: str) -> None:
        status.update(f"{step} …")
        status.start()

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
