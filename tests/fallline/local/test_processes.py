"""One process of the embedded service: its start, its end and what is left of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fallline.local.processes import Process, launch, rotate, tail
from tests.servers import eventually

DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(60)"
)


class Starter:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts: list[Process] = []

    def __call__(self, code: str) -> Process:
        command = [sys.executable, "-u", "-c", code]
        log = self.folder / "part.log"
        self.parts.append(launch("part", command, {}, log=log, environment=os.environ))
        return self.parts[-1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    for part in starter.parts:
        part.kill()


def test_a_part_stops_when_it_is_asked_to(start: Starter) -> None:
    part = start("import time; time.sleep(60)")
    assert part.alive
    part.stop()
    assert part.process.returncode == -signal.SIGTERM


def test_a_part_that_is_deaf_is_ended_by_force(start: Starter) -> None:
    part = start(DEAF)
    eventually(lambda: part.log.read_text() == "1\n", "it is deaf")
    part.stop(seconds=0.2)
    assert part.process.returncode == -signal.SIGKILL


def test_what_a_dead_part_left_in_its_group_is_ended_with_it(start: Starter) -> None:
    code = "import subprocess as s, sys; p = s.Popen([sys.executable, '-c', %r]); print(p.pid)"
    part = start(code % "import time; time.sleep(60)")
    part.process.wait(10)
    orphan = int(part.log.read_text())
    assert psutil.pid_exists(orphan)
    part.stop()
    eventually(lambda: not is_running(orphan), "the orphan is gone")


def test_its_obituary_has_the_end_of_its_log(start: Starter) -> None:
    part = start("import sys; print('\\n'.join(map(str, range(99)))); sys.exit(3)")
    text = part.obituary()
    assert text.startswith(f"part exited with 3. The end of {part.log}:\n    84\n")
    assert text.endswith("    98")


def test_an_obituary_names_the_signal(start: Starter) -> None:
    part = start("import os; os.kill(os.getpid(), 9)")
    assert part.obituary().startswith("part was ended by SIGKILL.")


def test_what_is_started_again_goes_on_with_its_log(tmp_path: Path) -> None:
    running: dict[str, Process] = {}
    for word in ("first", "second"):
        command = [sys.executable, "-c", f"print('{word}')"]
        launch("part", command, running, log=tmp_path / "log", environment=os.environ)
        running["part"].process.wait(10)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_the_log_of_the_service_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    rotate(log)
    for number in range(3):
        log.write_text(f"{number}")
        rotate(log)
    assert (tmp_path / "part.log.1").read_text() == "2"
    assert not log.exists()


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert tail(tmp_path / "log") == "    (empty)"


def test_a_log_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert tail(tmp_path / "log") == "    (cannot be read: No such file or directory)"


def test_a_part_hears_the_signals_that_were_held_back_while_it_started(start: Starter) -> None:
    part = start("import signal; print(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))")
    part.process.wait(10)
    assert part.log.read_text() == "0\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_part_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from fallline.local.processes import launch\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        f"log = Path({str(tmp_path)!r}) / 'log'\n"
        "print(launch('part', command, {}, log=log, environment=os.environ).process.pid)\n"
        "sys.stdout.flush(); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        part = int(parent.stdout.readline())
        assert is_running(part)
        parent.kill()
    eventually(lambda: not is_running(part), "the part is gone")


def is_running(pid: int) -> bool:
    """Whether a process lives; one that nobody has reaped is dead."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
