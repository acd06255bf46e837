"""The folder of a service's data: made private, held by one service at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path

from fallline.errors import StartFailed

# A worker drains for up to 10 s after a `kill -9` of the service that started it.
PREDECESSOR_SECONDS = 15.0


class Lock:
    """The lock of a home. It is held as long as any process has its descriptor open.

    The parts of a service inherit the descriptor: a service that was killed holds its home until
    the last of its parts has ended, so a new one cannot meet the old one's socket or database.
    """

    def __init__(self, home: Path) -> None:
        make_private(home)
        self.descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._home = home
        try:
            self._take(time.monotonic() + PREDECESSOR_SECONDS)
        except BaseException:
            os.close(self.descriptor)
            raise

    def sign(self, url: str) -> None:
        """Write down who holds the home, for the sentence that a second start prints."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def release(self) -> None:
        """Give the home back; the file stays, since removing it would let two services in."""
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)

    def _take(self, until: float) -> None:
        while not is_free(self.descriptor):
            holder = json.loads(os.pread(self.descriptor, 4096, 0) or b"{}")
            if is_running(holder.get("pid")) or time.monotonic() > until:
                raise StartFailed(occupied(self._home, holder))
            time.sleep(0.1)


def make_private(home: Path) -> None:
    """Create the folder with mode 0700 where it is missing; one sentence where that fails."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartFailed(
            f"The data folder {home} cannot be used: {error.strerror}. "
            "Choose another with FALLLINE_HOME or --home."
        ) from error


def is_free(descriptor: int) -> bool:
    """Take the lock on an open file if nobody has it; whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_running(process: int | None) -> bool:
    """Whether a process of that id exists, of whatever user."""
    if process is None:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def occupied(home: Path, holder: dict[str, object]) -> str:
    """The sentence for a home that another service holds."""
    by = f" at {holder['url']} (process {holder['pid']})" if "pid" in holder else ""
    return (
        f"A Fallline service already runs on {home}{by}. "
        "Stop it first, or choose another folder with FALLLINE_HOME or --home."
    )


def choose_port(host: str, port: int) -> int:
    """`port` if it can be bound on `host`, else an error; 0 asks for any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise StartFailed(
                f"Port {port} on {host} cannot be used: {why}. "
                "Choose another with FALLLINE_PORT or --port."
            ) from error
        return int(probe.getsockname()[1])
