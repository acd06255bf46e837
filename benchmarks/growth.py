"""Does a worker's process grow with the jobs it has trained? And does a job become dearer?

    python -m benchmarks.growth [jobs] [sqlite|postgresql]

One child of one worker trains 10 000 small jobs (that many distinct learning rates and seeds, fifty
shapes, every hundredth long enough to be traced), posted in batches of 500 whenever fewer wait.
Printed: the child's resident memory once it is warm and as it goes on, and jobs a second since the
line before. It is the same process throughout, or it says so. The goal: ≤ 5 % from 500 jobs on.
"""

import sys
import time
from typing import Any

import psutil
from sqlalchemy import func, select

from app.database.session import Database
from app.tables import TERMINAL, Job, Worker
from tests.databases import KINDS
from tests.service import Service, running

JOBS = 10_000
BATCH = 500
WARM = 500
"""Jobs after which all that is made once has been made."""
MOST = 1.05


def specification(number: int) -> dict[str, Any]:
    """A small job, unlike the others."""
    hidden = 8 + number % 50
    return {
        "name": f"small-{number % 10}",
        "dataset": "iris",
        "model": [
            {"type": "linear", "out_features": hidden},
            "relu",
            {"type": "linear", "out_features": 3},
        ],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": 0.001 * (1 + number % 997)},
        "batch_size": 32,
        "iterations": 1500 if number % 100 == 0 else 10,
        "seed": number,
    }


def post(service: Service, first: int) -> None:
    """A batch."""
    jobs = [specification(first + n) for n in range(BATCH)]
    service.http.post("/v1/jobs/batch", json={"jobs": jobs}).raise_for_status()


def ended(database: Database) -> int:
    """Jobs that have."""
    with database.session(write=False) as session:
        query = select(func.count()).select_from(Job).where(Job.state.in_(TERMINAL))
        return session.scalar(query) or 0


def child(database: Database) -> psutil.Process:
    """The one that trains."""
    with database.session(write=False) as session:
        query = select(Worker.pid).where(Worker.pool == "training")
        return psutil.Process(session.scalars(query).one())


def measure(service: Service, database: Database, jobs: int) -> None:
    """A line every so often."""
    process = child(database)
    lines = [100, WARM, *range(1000, jobs + 1, 1000)]
    posted, warm, before, then = 0, 0, 0, time.perf_counter()
    print(f"{'jobs':>6} {'MiB':>8} {'of warm':>8} {'jobs/s':>7}  pid {process.pid}")
    while lines:
        done = ended(database)
        if posted < jobs and posted - done < 2 * BATCH:
            post(service, posted)
            posted += BATCH
        if done < lines[0]:
            time.sleep(0.2)
            continue
        now, resident = time.perf_counter(), process.memory_info().rss
        warm = warm or (resident if done >= WARM else 0)
        share = f"{resident / warm:.3f}" if warm else "-"
        pace = (done - before) / (now - then)
        print(f"{done:6} {resident / 2**20:8.1f} {share:>8} {pace:7.1f}", flush=True)
        before, then = done, now
        lines = [line for line in lines if line > done]
    same = child(database).pid == process.pid
    verdict = "reached" if same and resident <= MOST * warm else "MISSED"
    print(f"{verdict} (goal ≤ {MOST:g}){'' if same else ': another process took over'}")


def main() -> None:
    """One database."""
    kind = next((word for word in sys.argv[1:] if word in KINDS), "sqlite")
    jobs = next((int(word) for word in sys.argv[1:] if word.isdigit()), JOBS)
    settings = {"worker_processes": 1, "max_queued_jobs": 10 * BATCH}
    with (
        KINDS[kind]() as databases,
        databases.empty() as url,
        running(url, workers=1, **settings) as service,
    ):
        database = Database(url)
        measure(service, database, jobs)
        database.dispose()


if __name__ == "__main__":
    main()
