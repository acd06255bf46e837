"""The folder of what lives only while the service runs: Redis' socket and temporary files."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from fallline.errors import StartFailed

# `sun_path` holds 108 bytes on Linux and 104 on macOS, a NUL among them.
MAX_SOCKET_PATH_BYTES = 103

# The longest name that a socket gets here: Python's multiprocessing puts its own into TMPDIR.
MAX_NAME_BYTES = "pymp-12345678/listener-12345678"

# A socket's path travels in a URL, and not every reader of such a URL unquotes it.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~+-]+")


class RunFolder:
    """`run` in the home or, where its path is too long for a socket, a link to a short folder.

    It is the TMPDIR of the parts too, so that a part which is killed leaves nothing outside the
    home. What a service that was killed has left is removed when the next one starts.
    """

    def __init__(self, home: Path) -> None:
        self._place = home / "run"
        self.remove()
        if fits(self._place):
            self._place.mkdir(mode=0o700)
        else:
            self._place.symlink_to(short_folder())
        self.path = self._place.readlink() if self._place.is_symlink() else self._place

    @property
    def socket(self) -> Path:
        """Where Redis' socket lies."""
        return self.path / "redis.sock"

    def restore(self) -> None:
        """Make again what somebody has deleted of it, as private as it was. Raises `OSError`."""
        if not self.path.exists():
            self.path.mkdir(mode=0o700)
        if not os.path.lexists(self._place):
            self._place.symlink_to(self.path)

    def clear_socket(self) -> None:
        """Remove the socket that a Redis has left.

        Raises `StartFailed` if others could put theirs in its place, and `OSError`.
        """
        if not is_private(self.path):
            raise StartFailed(f"{self.path} is not private to you any more: remove it.")
        self.socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        if self._place.is_symlink():
            if is_private(left := self._place.readlink()):
                shutil.rmtree(left)
            self._place.unlink()
        elif self._place.exists():
            shutil.rmtree(self._place)


def fits(folder: Path) -> bool:
    """Whether sockets can lie in `folder` and be named in a URL as they stand."""
    text = str(folder / MAX_NAME_BYTES)
    return len(os.fsencode(text)) <= MAX_SOCKET_PATH_BYTES and bool(PLAIN_PATH.fullmatch(text))


def is_private(folder: Path) -> bool:
    """Whether `folder` is a folder of this user that nobody else can enter."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    status = folder.stat()
    return status.st_uid == os.getuid() and status.st_mode & 0o077 == 0


def short_folder() -> Path:
    """A new private folder whose path is short enough for sockets."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (the last resort)
        if fits(Path(parent) / "fallline-12345678"):
            return Path(tempfile.mkdtemp(prefix="fallline-", dir=parent))
    raise StartFailed("No temporary folder has a path short enough for a socket.")
