"""P8: from POST to the first iteration that is recorded, on a warm worker, against Ray Jobs; and
P12: how soon those who do not poll are told of it (``python -m benchmarks.first_loss``).

P8, ours: an embedded service (SQLite, ``synchronous=FULL``). The clock starts before the POST and
stops when a reader has been given a loss over HTTP, so it holds everything: validation, the durable
row, bell, claim, data, network, first step, commit, and our own asking for it in a loop, which
takes the machine from the worker.

Theirs: ``POST /api/jobs/`` to a warm Ray head on the same machine, whose job prints the time as its
first line. The clock stops at that time, before anybody could have read it. That is fair to the
point of kindness: the job imports no torch, trains nothing, keeps nothing durably, nobody asks for
it in a loop, and it is what Ray itself calls a job. Of both sides the 95th percentile counts.
Before the first round both have run.

The figures: our 95th percentile against their median; our median; a Celery task that does nothing
and answers through Redis, which is the least that a queue costs; and the time between two sights of
progress of a running job, which is how old a loss can be before it is seen.

P12: jobs in turn, each seen by a tight poll (asking for the curve again and again), told by a long
poll (``?wait=60&after=0``) or by the event stream; from the start of the POST in all three. Of each
way the median of a round counts, and of ours the later one. All read with the same bare HTTP
client, so that nobody pays for a parser.
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
from functools import partial
from pathlib import Path

import httpx2
import psutil
import redis

from benchmarks import report
from benchmarks.goals import GOALS, Bound, Round, goal, in_turn, measure, peer
from fallline import Client
from fallline.local.service import LocalService
from tests.servers import Process, eventually
from tests.service import free_port
from tests.specifications import DIGITS_MLP

OURS = 40
"""Jobs of ours in a round, of which the 95th percentile is taken."""
THEIRS = 20
"""Jobs of Ray's in a round."""
TURNS = 40
"""Jobs of a round for each way of seeing a loss."""
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


@goal(
    "P12",
    "from POST to the first loss by long poll and by event stream, medians, the later one",
    against="seen by a tight poll",
    least=1 / 1.2,
)
def told_first_loss() -> Iterator[Round]:
    """Rounds of 40 jobs for each way."""
    ways = {"tight_poll": tight_poll, "long_poll": long_poll, "event_stream": event_stream}
    with (
        tempfile.TemporaryDirectory(prefix="fl-bench-") as folder,
        LocalService(Path(folder), port=0) as service,
        Client(service.url, service.key) as client,
        bare(service) as http,
    ):
        several(lambda: first_loss(client), OURS)
        while True:
            found: dict[str, list[float]] = {name: [] for name in ways}
            for turn in range(TURNS * len(ways)):
                name = list(ways)[turn % len(ways)]
                found[name].append(seconds_until(client, partial(ways[name], http)))
            middle = {name: statistics.median(seconds) for name, seconds in found.items()}
            late_ms = {f"{name}_p95_ms": 1000 * late(found[name]) for name in ways}
            figures = {f"{name}_ms": 1000 * seconds for name, seconds in middle.items()} | late_ms
            ours = max(middle["long_poll"], middle["event_stream"])
            yield Round(ours, middle["tight_poll"], figures=figures)


def seconds_until(client: Client, seen: Callable[[str], None]) -> float:
    """From the start of the POST of a job until its first loss is seen."""
    began = time.perf_counter()
    job = client.jobs.create(DIGITS_MLP | {"iterations": 20})
    seen(f"/v1/jobs/{job.id}")
    seconds = time.perf_counter() - began
    job.wait()
    return seconds


def tight_poll(http: httpx2.Client, path: str) -> None:
    """Asks until there is a loss."""
    while not http.get(f"{path}/metrics").json()["series"]["loss"]["value"]:
        pass


def long_poll(http: httpx2.Client, path: str) -> None:
    """Asks once, for an answer when there is a loss."""
    job = http.get(path, params={"wait": 60, "after": 0}).json()
    assert job["progress"]["iteration"] > 0, job


def event_stream(http: httpx2.Client, path: str) -> None:
    """Listens to the first frame with a loss."""
    headers = {"Accept": "text/event-stream"}
    with http.stream("GET", f"{path}/events", headers=headers) as stream:
        assert any(line == "event: metrics" for line in stream.iter_lines())


def bare(service: LocalService) -> httpx2.Client:
    """A client without anything of ours."""
    headers = {"Authorization": f"Bearer {service.key}"}
    return httpx2.Client(base_url=service.url, headers=headers, timeout=70, trust_env=False)


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


def main() -> None:
    """Measures and prints P12."""
    one = GOALS["P12"]
    print(f"{report.legend(one)}\n\n{report.line(report.HEAD)}", flush=True)
    measured = measure(one)
    print("\n".join([report.line(report.row(measured)), *report.figures(measured)]))


if __name__ == "__main__":
    main()
