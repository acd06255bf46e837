"""What the operating system knows of a process."""

import contextlib
import ctypes
import os
import signal
import sys
import uuid
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG = 1
# Opened here: between a fork and what follows it, whatever needs a lock may wait for ever.
LIBC = ctypes.CDLL(None)


def die_with_parent() -> None:
    """On Linux the kernel ends this process when its parent does, however that comes about."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process of this place exists; one that has ended and is not yet buried does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it does, and is somebody else's
        return True
    with contextlib.suppress(OSError):  # no such file but on Linux
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return True


@cache
def place() -> str:
    """Equal for processes that can see each other's pids: one boot of one kernel, one namespace.

    A host's name would not do: two machines may both be called ``localhost``.
    """
    if sys.platform != "linux":
        return str(uuid.uuid4())
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
