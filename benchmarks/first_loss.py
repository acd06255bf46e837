"""P8: from POST to the first iteration that is recorded, on a warm worker, against Ray Jobs.

Ours: an embedded service (SQLite, ``synchronous=FULL``). The clock starts before the POST and stops
when a reader has been given a loss over HTTP, so it holds everything: validation, the durable row,
bell, claim, data, network, first step, commit, and our own asking for it in a loop, which takes the
machine from the worker.

Theirs: ``POST /api/jobs/`` to a warm Ray head on the same machine, whose job prints the time as its
first line. The clock stops at that time, before anybody could have read it. That is fair to the
point of kindness: the job imports no torch, trains nothing, keeps nothing durably, nobody asks for
it in a loop, and it is what Ray itself calls a job. Of both sides the 95th percentile counts.
Before the first round both have run.

The figures: our 95th percentile against their median; our median; a Celery task that does nothing
and answers through Redis, which is the least that a queue costs; and the time between two sights of
progress of a running job, which is how old a loss can be before it is seen.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import redis

from benchmarks.goals import Bound, Round, goal, in_turn, peer
from fallline import Client
from fallline.local.service import LocalService
from tests.servers import Process, eventually
from tests.service import free_port
from tests.specifications import DIGITS_MLP

OURS = 40
"""Jobs of ours in a round, of which the 95th percentile is taken."""
THEIRS = 20
"""Jobs of Ray's in a round."""
FIRST_LINE = "import time; print('first line at', time.time(), flush=True)"


@goal(
    "P8",
    "from POST to the first recorded iteration, 95th percentile",
    against="Ray Jobs over REST, warm head, to the first line of Python",
    least=20.0,
    p95_ms=Bound(most=100.0),
)
def first_iteration() -> Iterator[Round]:
    """Rounds of 40 jobs of ours and 20 of Ray's."""
    python = peer("ray")
    with (
        tempfile.TemporaryDirectory(prefix="fl-bench-") as folder,
        LocalService(Path(folder), port=0) as service,
        Client(service.url, service.key) as client,
        bare_celery(Path(folder) / "run" / "redis.sock") as broker,
        ray(python) as jobs,
    ):
        several(lambda: first_loss(client), OURS)
        several(lambda: first_line(jobs), 2)
        found = dict[str, list[float]]()

        def ours() -> float:
            found["jobs"] = several(lambda: first_loss(client), OURS)
            return late(found["jobs"])

        def theirs() -> float:
            found["ray"] = several(lambda: first_line(jobs), THEIRS)
            return late(found["ray"])

        for this in in_turn(ours, theirs):
            figures = {
                "p95_ms": 1000 * this.ours,
                "against_their_median_x": statistics.median(found["ray"]) / this.ours,
                "median_ms": 1000 * statistics.median(found["jobs"]),
                "celery_ms": 1000 * statistics.median(several(lambda: round_trip(broker), OURS)),
                "between_sights_ms": 1000 * statistics.median(sights(client)),
            }
            yield Round(this.ours, this.theirs, figures=figures)


def several(side: Callable[[], float], times: int) -> list[float]:
    """Its seconds, as often."""
    return [side() for _ in range(times)]


def late(seconds: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(seconds, n=20)[-1]


def first_loss(client: Client) -> float:
    """Seconds from the start of the POST until ``metrics`` answers with a loss."""
    began = time.perf_counter()
    job = client.jobs.create(DIGITS_MLP | {"iterations": 20})
    while not job.points().iterations:
        pass
    seconds = time.perf_counter() - began
    job.wait()
    return seconds


def first_line(jobs: httpx2.Client) -> float:
    """Seconds from the start of the POST until a job's Python prints."""
    began = time.time()
    answer = jobs.post(
        "/api/jobs/", json={"entrypoint": f'{jobs.headers["python"]} -c "{FIRST_LINE}"'}
    )
    where = f"/api/jobs/{answer.raise_for_status().json()['submission_id']}"
    eventually(
        lambda: jobs.get(where).json()["status"] == "SUCCEEDED", "the job ran", 60, every=0.1
    )
    printed = re.search(r"first line at ([\d.]+)", jobs.get(f"{where}/logs").json()["logs"])
    assert printed is not None
    return float(printed[1]) - began


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


@contextmanager
def bare_celery(socket: Path) -> Iterator[redis.Redis]:
    """A warm prefork worker with nothing to do but answer."""
    os.environ["BENCHMARK_REDIS_SOCKET"] = str(socket)
    command = ["-m", "celery", "-q", "-A", "benchmarks.bare_celery:celery", "worker", "-c", "1"]
    worker = subprocess.Popen(
        [sys.executable, *command, "-l", "ERROR"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    broker = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
    try:
        round_trip(broker)
        yield broker
    finally:
        worker.terminate()
        worker.wait()
        broker.close()


@contextmanager
def ray(python: Path) -> Iterator[httpx2.Client]:
    """A Ray head on loopback that takes jobs; the header ``python`` says what is to run them."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    port = free_port()
    command: list[str | Path] = [
        *(python.with_name("ray"), "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "--port", str(free_port())),
        *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(port)),
        *("--temp-dir", folder, "--object-store-memory", str(80 * 2**20)),
    ]
    environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    head = Process("ray", command, log=folder / "log", cwd=folder, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx2.Client(base_url=url, headers={"python": str(python)}, trust_env=False) as jobs:
            head.ready(lambda: answers(jobs), within=120)
            yield jobs
    finally:
        family = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
        head.stop()
        for process in psutil.wait_procs(family, timeout=20)[1]:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def answers(jobs: httpx2.Client) -> bool:
    """Whether the head takes jobs."""
    try:
        return jobs.get("/api/jobs/").status_code == 200
    except httpx2.TransportError:
        return False
