"""What the operating system knows of a process."""

import ctypes
import os
import signal
import sys
import uuid
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """On Linux the kernel ends this process when its parent does, however that comes about."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process of this place exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it does, and is somebody else's
        return True
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
