"""Who keeps everybody from writing to a SQLite database.

One process writes at a time. If it stands still within its transaction nobody can, and so nobody
can take back what it holds: it is known only by the lock, and the kernel tells whose that is.
"""

import time
from pathlib import Path

WRITE_LOCK_BYTE = 120
"""The byte of the file ``…-shm`` that a writer locks (SQLite's file format: the WAL-index)."""
LOCKS = Path("/proc/locks")


class WriteLock:
    """The lock of the database in a file (``None``: one that has no such lock), seen whenever a
    write has failed."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.seen: tuple[int, float] | None = None

    def free(self) -> None:
        """A write went well."""
        self.seen = None

    def held_for(self, seconds: float) -> int | None:
        """The process that held it at every look for so long; not known but on Linux."""
        holder = None if self.file is None else holder_of(self.file)
        if holder is None:
            self.seen = None
        elif self.seen is None or self.seen[0] != holder:
            self.seen = holder, time.monotonic()
        elif time.monotonic() - self.seen[1] > seconds:
            return holder
        return None


def holder_of(file: Path) -> int | None:
    """The process that is in a writing transaction just now."""
    try:
        inode = Path(f"{file}-shm").stat().st_ino
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # 1: POSIX  ADVISORY  WRITE 17889 fe:00:2154673 120 120
        match line.split():
            case [_, "POSIX", _, "WRITE", pid, place, first, last] if (
                place.endswith(f":{inode}")
                and int(first) <= WRITE_LOCK_BYTE
                and (last == "EOF" or int(last) >= WRITE_LOCK_BYTE)
            ):
                return int(pid)
    return None
