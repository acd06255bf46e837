"""From POST to the first loss that a reader can see, on a warm worker; beside it, bare Celery.

    python -m benchmarks.first_loss

Starts an embedded service (SQLite, ``synchronous=FULL``) in a temporary folder. Sides are
interleaved; prints median, min and max in milliseconds, and the time between two sights of progress
of a running job, which bounds how old a loss can be before it is seen.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from fallline import Client
from fallline.embedded import Embedded
from tests.specifications import DIGITS_MLP

ROUNDS = 40


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as folder:
        home = Path(folder)
        with Embedded(home, port=0) as service, Client(service.url, service.key) as client:
            socket = home / "run" / "redis.sock"
            with bare_celery(socket) as broker:
                sides = measured(client, broker)
            for name, seconds in sides.items():
                show(name, seconds)
            print(f"ratio of medians     {ratio(sides):8.1f}")
            show("between two sights", sights(client))


def measured(client: Client, broker: redis.Redis) -> dict[str, list[float]]:
    """Both sides in turn; the first three rounds only warm up."""
    ours, theirs = list[float](), list[float]()
    for _ in range(ROUNDS + 3):
        ours.append(first_loss(client))
        theirs.append(round_trip(broker))
    return {"POST to first loss": ours[3:], "bare Celery": theirs[3:]}


def first_loss(client: Client) -> float:
    """Seconds from the start of the POST until ``metrics`` answers with a loss."""
    began = time.perf_counter()
    job = client.jobs.create(DIGITS_MLP | {"iterations": 20})
    while not job.points().iterations:
        pass
    seconds = time.perf_counter() - began
    job.wait()
    return seconds


def round_trip(broker: redis.Redis) -> float:
    """Seconds from sending a task that does nothing until its answer is there."""
    from benchmarks.bare_celery import echo

    began = time.perf_counter()
    echo.delay("answers")
    broker.blpop(["answers"])
    return time.perf_counter() - began


def sights(client: Client) -> list[float]:
    """Seconds between one sight of progress and the next, over a job of some seconds."""
    job = client.jobs.create(DIGITS_MLP | {"iterations": 6000})
    gaps, last, seen = list[float](), -1, time.perf_counter()
    while (found := job.now()).state in ("queued", "running"):
        if found.progress.iteration > last:
            now = time.perf_counter()
            gaps.append(now - seen)
            last, seen = found.progress.iteration, now
    return gaps


def show(name: str, seconds: list[float]) -> None:
    """Median and range in milliseconds."""
    ms = [1000 * s for s in seconds]
    median = statistics.median(ms)
    print(f"{name:20} {median:8.1f} ms  (min {min(ms):.1f}, max {max(ms):.1f}, n = {len(ms)})")


def ratio(sides: dict[str, list[float]]) -> float:
    """Of the medians, ours over theirs."""
    ours, theirs = (statistics.median(seconds) for seconds in sides.values())
    return ours / theirs


@contextmanager
def bare_celery(socket: Path) -> Iterator[redis.Redis]:
    """A warm prefork worker with nothing to do but answer."""
    os.environ["BENCHMARK_REDIS_SOCKET"] = str(socket)
    command = ["-m", "celery", "-q", "-A", "benchmarks.bare_celery:celery", "worker", "-c", "1"]
    worker = subprocess.Popen([sys.executable, *command, "-l", "ERROR"])
    broker = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
    try:
        round_trip(broker)
        yield broker
    finally:
        worker.terminate()
        worker.wait()
        broker.close()


if __name__ == "__main__":
    main()
