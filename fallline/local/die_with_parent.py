"""Run a command that ends when the process that started it dies, however it dies.

    python -I -S -B die_with_parent.py PARENT COMMAND [ARGUMENT …]

A program of its own, with the standard library alone, and not a `preexec_fn`: nothing of ours runs
between fork and exec, where the threads of the parent could have left a lock taken.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask the kernel for SIGTERM when `parent` dies (Linux only), then become `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    # The parent held its signals back while it started us.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
