"""What `fallline up` does once it is ready and a part of it ends: nobody has to help."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.numpy import load

from fallline import ApiError, Client, Job, Unreachable
from fallline.local.redis_server import PROGRAMS, answers
from fallline.local.restarts import MAX_END_COUNT, TITLES
from tests.fallline.up_process import (
    START_SECONDS,
    STOP_SECONDS,
    Start,
    Up,
    ignored,
    nothing_is_left,
)
from tests.servers import eventually
from tests.worker.watch import CNN, OPTIMIZERS

JOB: dict[str, Any] = CNN | {
    "name": "enduring",
    "optimizer": OPTIMIZERS[1],
    "schedule": "constant",  # so that its end may be brought forward
    "iterations": 10_000_000,
    "checkpoint_every_seconds": 1,
}
"""State in every corner, and it outlives whatever is done meanwhile."""

Bits = tuple[list[float], dict[str, bytes]]
"""The losses of a job, and each tensor of its model."""


def part(up: Up, name: str) -> psutil.Process:
    """The process of a part that runs."""
    endings = {"api": ["-m", "app"], "worker": ["-m", "worker"]}

    def found() -> psutil.Process | None:
        for process in psutil.Process(up.process.pid).children():
            if process.name() in PROGRAMS if name == "redis" else is_module(process, endings[name]):
                return process
        return None

    process = eventually(found, f"{name} runs", START_SECONDS)
    assert process
    return process


def is_module(process: psutil.Process, ending: list[str]) -> bool:
    return bool(process.cmdline()[-2:] == ending)


def kill(up: Up, *names: str) -> None:
    """`kill -9` parts at once, and wait until each has been started again."""
    before = up.text()
    for process in [part(up, name) for name in names]:
        process.kill()
    again = [f"{TITLES[name]} has been started again." for name in names]

    def told() -> bool:
        assert up.process.poll() is None, up.text()
        return all(up.text().count(sentence) > before.count(sentence) for sentence in again)

    eventually(told, f"{names} were started again", START_SECONDS)


@contextmanager
def client_of(up: Up, home: Path) -> Iterator[Client]:
    url = up.wait_ready()
    with Client(url, (home / "key").read_text().strip()) as client:
        yield client


def is_ready(client: Client) -> bool:
    """Whether every part answers, of a service that may be away."""
    try:
        return client.ready()
    except (ApiError, Unreachable):
        return False


def bits(client: Client, job: Job[Any]) -> Bits:
    """What a job that has ended well left."""
    model = job.check().model
    assert model is not None
    tensors = load(client.models.download(model.name, model.version))
    return list(job.points("loss").values), {name: t.tobytes() for name, t in tensors.items()}


def has_moved(job: Job[Any], since: int) -> bool:
    """Whether a job trains and has come further."""
    now = job.now()
    return bool(now.state == "running" and now.progress.iteration > since)


@pytest.mark.timeout(1200)
def test_a_job_has_the_same_bits_whichever_part_is_killed(start: Start, home: Path) -> None:
    up = start("--port", "0")
    with client_of(up, home) as client:
        job = client.jobs.create(JOB)
        for names in (["worker"], ["api"], ["redis"], ["redis", "api", "worker"]):
            moves(job)
            kill(up, *names)
            eventually(lambda: is_ready(client), f"{names} are back", START_SECONDS)
        moves(job)
        end = job.now().progress.iteration + 3000
        disturbed = job.update(iterations=end).wait()
        undisturbed = client.jobs.create({**JOB, "iterations": end}).wait()
        assert bits(client, disturbed) == bits(client, undisturbed)
    assert up.end(signal.SIGINT) == 0, up.text()
    assert "The worker was ended by SIGKILL. It is started again in 1 s.\n" in up.text()
    nothing_is_left(home)


def moves(job: Job[Any]) -> None:
    """Wait until a job trains and has come further than it is now."""
    at = job.now().progress.iteration
    eventually(lambda: has_moved(job, at), "the job trains", START_SECONDS)


@pytest.mark.timeout(900)
def test_the_folder_of_the_socket_is_made_again(start: Start, home: Path) -> None:
    up = start("--port", "0")
    with client_of(up, home) as client:
        shutil.rmtree(home / "run")
        up.wait_for(r"(Redis has no socket at \S+ any more. It is started again in 1 s.)")
        eventually(lambda: answers(home / "run" / "redis.sock"), "Redis is back", START_SECONDS)
        assert stat.S_IMODE((home / "run").stat().st_mode) == 0o700
        eventually(lambda: is_ready(client), "all parts have found it", START_SECONDS)
    part(up, "redis").kill()
    up.wait_for("(It is started again in 2 s.)")
    assert up.end(signal.SIGINT) == 0, up.text()  # within the delay
    assert up.text().count("Redis has been started again.") == 1
    nothing_is_left(home)


@pytest.mark.timeout(900)
def test_a_part_that_ends_again_and_again_ends_the_service(start: Start, home: Path) -> None:
    up = start("--port", "0")
    up.wait_ready()
    for _ in range(MAX_END_COUNT - 1):
        kill(up, "redis")
    part(up, "redis").kill()
    assert up.process.wait(STOP_SECONDS) == 1
    assert [f"again in {delay} s." in up.text() for delay in (1, 2, 4, 8, 16)] == [True] * 4 + [
        False
    ]
    log = home / "logs" / "redis.log"
    end = f"fallline: redis was ended by SIGKILL, the 5th end within 60 s. The end of {log}:\n"
    assert end in up.text()
    last = log.read_text().splitlines()[-1]
    assert up.text().endswith(f"    {last}\n")
    nothing_is_left(home)


@pytest.mark.timeout(900)
def test_it_goes_on_when_its_terminal_is_closed(start: Start, home: Path) -> None:
    reading, writing = os.pipe()
    with ignored(signal.SIGHUP):  # as by `nohup`
        up = start("--port", "0", stdout=writing)
    os.close(writing)
    with open(reading) as said:  # noqa: PTH123 -- a descriptor
        url = next(line.split()[1] for line in said if "URL" in line)
    up.process.send_signal(signal.SIGHUP)
    old = part(up, "api")
    old.kill()
    eventually(lambda: not old.is_running(), "the API's end is noticed")
    eventually(lambda: part(up, "api"), "the API was started again", START_SECONDS)
    with Client(url, (home / "key").read_text().strip()) as client:
        eventually(lambda: is_ready(client), "the API is back", START_SECONDS)
    assert up.end(signal.SIGTERM) == 0
    nothing_is_left(home)
