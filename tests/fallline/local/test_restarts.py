"""When a part that has ended is started again; the clock is the test's own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fallline import StartFailed
from fallline.local.processes import Process, launch
from fallline.local.restarts import Backoff, Restarts
from tests.servers import eventually


def delays(*ends: tuple[float, float]) -> list[float | None]:
    """The delays after ends: how long the part had lived, and when it ended."""
    backoff = Backoff()
    return [backoff.next_delay(lived, now) for lived, now in ends]


def test_the_delays_double_up_to_half_a_minute() -> None:
    assert delays(*((20.0, 30.0 * n) for n in range(7))) == [1, 2, 4, 8, 16, 30, 30]


def test_after_a_minute_of_life_they_begin_anew() -> None:
    assert delays((0, 0), (0, 20), (59, 100), (60, 200), (0, 201)) == [1, 2, 4, 1, 2]


def test_five_ends_within_a_minute_are_too_many() -> None:
    assert delays(*((0, now) for now in (0, 15, 30, 45, 60))) == [1, 2, 4, 8, None]
    assert delays(*((0, now) for now in (0, 15, 30, 45, 61))) == [1, 2, 4, 8, 16]


class Watched:
    """One part, `redis`, that runs a program; what is said about it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "part.log"
        self.code = "import time; time.sleep(60)"
        self.said: list[str] = []
        self.parts: dict[str, Process] = {}
        self.restarts = Restarts(self.parts, self.start, self.said.append)
        self.start("redis")
        self.began = self.parts["redis"].started_at

    def start(self, name: str) -> None:
        if not self.code:
            raise OSError(12, "Cannot allocate memory")
        command = [sys.executable, "-u", "-c", self.code]
        launch(name, command, self.parts, log=self.log, environment=os.environ)

    def kill(self) -> None:
        self.parts["redis"].process.kill()
        self.parts["redis"].process.wait()

    def look(self, seconds: float) -> None:
        """A look so many seconds after the part was first started."""
        self.restarts.look(self.began + seconds)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    for part in watched.parts.values():
        part.kill()


def test_a_part_that_lives_is_left_alone(watched: Watched) -> None:
    before = watched.parts["redis"]
    watched.look(10)
    assert watched.parts["redis"] is before
    assert watched.said == []


def test_a_part_that_ends_is_started_again_after_a_delay(watched: Watched) -> None:
    watched.kill()
    watched.look(10)
    assert watched.said == ["Redis was ended by SIGKILL. It is started again in 1 s."]
    watched.look(10.9)
    assert watched.parts == {}
    watched.look(11)
    assert watched.parts["redis"].alive
    assert watched.said[1:] == ["Redis has been started again."]


def test_what_it_left_in_its_process_group_ends_before_that(watched: Watched) -> None:
    watched.kill()
    watched.look(10)
    watched.code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)"
    )
    watched.look(11)
    watched.parts["redis"].process.wait(10)
    child = psutil.Process(int(watched.log.read_text()))
    watched.look(12)
    assert watched.said[-1] == "Redis exited with 0. It is started again in 2 s."
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def test_a_part_that_is_of_no_use_is_ended_and_started_again(watched: Watched) -> None:
    useless = watched.parts["redis"]
    watched.restarts.end(useless, "has no socket any more", watched.began + 10)
    assert not useless.alive
    watched.look(11)
    assert watched.said == [
        "Redis has no socket any more. It is started again in 1 s.",
        "Redis has been started again.",
    ]


def test_a_part_that_cannot_be_started_now_is_tried_again(watched: Watched) -> None:
    watched.kill()
    watched.look(10)
    sound, watched.code = watched.code, ""
    watched.look(11)
    assert watched.said[1] == (
        "Redis cannot be started: Cannot allocate memory. It is started again in 2 s."
    )
    watched.code = sound
    watched.look(13)
    assert watched.parts["redis"].alive


def test_the_fifth_end_within_a_minute_is_an_error_with_the_end_of_the_log(
    watched: Watched,
) -> None:
    watched.code = "import time; print('I cannot go on'); time.sleep(60)"
    for end in (10, 12, 15, 20):
        watched.kill()
        watched.look(end)
        watched.look(end + 8)
    eventually(lambda: "I cannot go on" in watched.log.read_text(), "it has written")
    watched.kill()
    expected = r"^redis was ended by SIGKILL, the 5th end within 60 s\. The end of \S+part.log:\n"
    with pytest.raises(StartFailed, match=expected) as failure:
        watched.look(30)
    assert str(failure.value).endswith("    I cannot go on")
