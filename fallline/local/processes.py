"""The processes that the embedded service is made of: start, watch and stop one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fallline.local import die_with_parent, signals

# A worker that is told to stop drains for up to 10 s.
STOP_SECONDS = 12.0


@dataclass(frozen=True)
class Process:
    """A running process: its name, what it runs as, and the file that holds its output.

    `started_at` is a moment of the monotonic clock.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started_at: float

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to stop (SIGTERM), wait, and end by force what is left after `seconds`."""
        if self.alive:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):  # `kill` follows in either case
                self.process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it and what is left of its process group at once."""
        with suppress(ProcessLookupError):  # the group ended with its leader: the usual case
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def how_it_ended(self) -> str:
        """Such as "exited with 1"; waits until it has."""
        code = self.process.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def obituary(self) -> str:
        """How it ended, and the last lines it wrote."""
        return f"{self.name} {self.how_it_ended()}. {last_lines(self.log)}"


def launch(
    name: str,
    command: Sequence[str],
    running: dict[str, Process],
    *,
    log: Path,
    environment: Mapping[str, str],
    keep_open: Sequence[int] = (),
) -> Process:
    """Start `command` in a session of its own, its output after that in `log`; enter it in
    `running` under its name.

    `keep_open` are descriptors that the process inherits. On Linux it is told to stop when the
    thread that started it ends, however it ends. Raises `OSError` if it cannot be started.
    """
    with log.open("ab") as output, signals_held():
        process = subprocess.Popen(
            [*dying_with_parent(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            pass_fds=keep_open,
            # Ctrl-C in the terminal reaches us alone: we stop the parts, in order.
            start_new_session=True,
        )
        running[name] = Process(name, process, log, time.monotonic())
    return running[name]


def rotate(log: Path) -> None:
    """Keep the log of the service before as `<log>.1`."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))


def dying_with_parent() -> list[str]:
    """The command before a command that lets it end with us (see `die_with_parent`)."""
    return [sys.executable, "-I", "-S", "-B", str(Path(die_with_parent.__file__)), str(os.getpid())]


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back what interrupts us: between a fork and our knowing it, a process would be lost."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def last_lines(log: Path) -> str:
    """Where a log is, and the end of it."""
    return f"The end of {log}:\n{tail(log)}"


def tail(log: Path, lines: int = 15) -> str:
    """The last `lines` lines of a log, each indented."""
    try:
        with log.open(encoding="utf-8", errors="replace") as text:
            last = deque(text, maxlen=lines)
    except OSError as error:
        return f"    (cannot be read: {error.strerror})"
    return "".join(f"    {line.rstrip()}\n" for line in last).rstrip("\n") or "    (empty)"
