"""`fallline up` as a process of its own, and the processes that it starts."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.databases import ROOT
from tests.fallline.processes import processes_of
from tests.servers import eventually

START_SECONDS = 180.0
STOP_SECONDS = 30.0


class Up:
    """`fallline up`, or `serve`, on a home of its own, as somebody would type it."""

    def __init__(
        self,
        home: Path,
        output: Path,
        *arguments: str,
        command: str = "up",
        stdout: int | None = None,
    ) -> None:
        """What it prints goes to `output`, unless `stdout` is a descriptor for it."""
        self.output = output
        with output.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fallline", command, *arguments],
                cwd=ROOT,
                env={**os.environ, "FALLLINE_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=written if stdout is None else stdout,
                stderr=written,
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> str:
        """The URL, once it is printed; then every part is up and warm."""
        return self.wait_for(r"URL +(http://\S+)")

    def wait_for(self, pattern: str) -> str:
        """What the group of `pattern` found in the output, once it is there."""

        def found() -> str | None:
            assert self.process.poll() is None, self.text()
            match = re.search(pattern, self.text())
            return match and match[1]

        return eventually(found, f"{pattern} is printed", START_SECONDS) or ""

    def end(self, with_signal: signal.Signals) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(STOP_SECONDS)


Start = Callable[..., Up]


def parts(home: Path) -> list[psutil.Process]:
    """Every process of the service in `home`, whatever became of its parents."""
    return processes_of(home, "FALLLINE_HOME")


def parts_that_run(home: Path, module: str, up: Up) -> list[psutil.Process]:
    """The processes that `up` itself started for a module of the service."""
    ours = [process for process in parts(home) if process.ppid() == up.process.pid]
    return [process for process in ours if process.cmdline()[-2:] == ["-m", module]]


@contextmanager
def ignored(number: signal.Signals) -> Iterator[None]:
    """Whoever is started meanwhile begins with a signal ignored.

    So does what a shell starts in the background, as to SIGINT, and what `nohup` starts, as to
    SIGHUP.
    """
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


def nothing_is_left(home: Path) -> None:
    eventually(lambda: not parts(home), f"no process of {home} is left", STOP_SECONDS)
    assert not os.path.lexists(home / "run")
