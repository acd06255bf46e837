"""The processes that the embedded service is made of: start, watch and stop one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    """A running process: its name, what it runs as, and the file that holds its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

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

    def obituary(self) -> str:
        """How it ended, and the last lines it wrote."""
        code = self.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return f"{self.name} {how}. The end of {self.log}:\n{tail(self.log)}"


def launch(
    name: str,
    command: Sequence[str],
    running: list[Process],
    *,
    log: Path,
    environment: Mapping[str, str],
    keep_open: Sequence[int] = (),
) -> Process:
    """Start `command` in a session of its own, its output in `log`, and add it to `running`.

    The log of the start before is kept as `<log>.1`. `keep_open` are descriptors that the process
    inherits. On Linux it is told to stop when the thread that started it ends, however it ends.
    """
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as output, signals_held():
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
        running.append(Process(name, process, log))
    return running[-1]


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


def tail(log: Path, lines: int = 15) -> str:
    """The last `lines` lines of a log, each indented."""
    with log.open(encoding="utf-8", errors="replace") as text:
        last = deque(text, maxlen=lines)
    return "".join(f"    {line.rstrip()}\n" for line in last).rstrip("\n") or "    (empty)"
