"""A deployment that faults are brought upon: its processes, its jobs, and ways to get at them."""

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from sqlalchemy import select

from app.database.session import Database
from app.tables import Event, Job, Worker
from tests import databases
from tests.faults.ledger import Ledger
from tests.servers import Process, eventually
from tests.service import Service
from tests.worker.watch import CNN, OPTIMIZERS

JOB: dict[str, Any] = CNN | {
    "name": "faulty",
    "optimizer": OPTIMIZERS[1],
    "iterations": 3000,
    "evaluate_every": 100,
    "checkpoint_every_seconds": 0.2,
}
"""State in every corner: batch norm, dropout, moments, a schedule. Some seconds long."""


class Attempt(NamedTuple):
    """How far a job is, from its row."""

    state: str
    fence: int
    iteration: int
    attempts: int
    done: int
    began_at: int
    worker: str | None


class World:
    """One service on a database of its own, with a ledger that watches all of it."""

    def __init__(
        self, kind: databases.Database, service: Service, ledger: Ledger, database: Database
    ) -> None:
        self.kind = kind
        self.service = service
        self.ledger = ledger
        self.database = database
        self.timed = True
        """Whether limits of time hold: not on a machine that is busy with something else."""
        self.machines = itertools.count(1)
        self.resumed: list[int] = []
        """The iterations at which jobs went on after a fault."""
        self.objects = Path(service.env["FALLLINE_HOME"]) / "objects"
        self.damaged: set[Path] = set()
        """Files that a fault has spoiled and nothing has to mend."""

    def in_time(self, limit: float, *seconds: float) -> None:
        """What is required of them, where the time is looked at."""
        assert not self.timed or max(seconds) <= limit, f"{seconds} s where {limit} are allowed"

    # -- jobs

    def post(self, **changes: Any) -> str:
        """A job that was accepted."""
        answer = self.ledger.note(self.service.http.post("/v1/jobs", json=JOB | changes))
        assert answer.status_code == 202, answer.text
        job_id = str(answer.json()["id"])
        self.ledger.accepted.append(job_id)
        return job_id

    def row(self, job_id: str) -> Attempt:
        """The job as it is now."""
        query = select(
            *(Job.state, Job.fence, Job.iteration, Job.attempts, Job.attempt_iteration),
            *(Job.attempt_first_iteration, Job.worker),
        )
        with self.database.session(write=False) as session:
            return Attempt(*session.execute(query.where(Job.id == job_id)).one())

    def reaches(self, job_id: str, iteration: int, within: float = 120) -> Attempt:
        """The job, once a worker has come so far with it."""

        def there() -> Attempt | None:
            row = self.row(job_id)
            assert row.state in ("queued", "running"), row
            return row if row.state == "running" and row.done >= iteration else None

        return _found(eventually(there, f"iteration {iteration} of {job_id}", within, every=0.01))

    def moment(self, draw: random.Random, job_id: str) -> Attempt:
        """The job at a moment between 5 and 95 % of its run: a block, of which only the end can be
        seen, may be a tenth of it."""
        return self.reaches(job_id, int(JOB["iterations"] * draw.uniform(0.05, 0.85)))

    def goes_on(self, job_id: str, before: Attempt, within: float) -> float:
        """Seconds until another attempt has recorded something, or the job has ended."""
        began = time.monotonic()

        def there() -> Attempt | None:
            row = self.row(job_id)
            moved = row.fence > before.fence and row.state == "running" and row.done > 0
            return row if moved or row.state == "succeeded" else None

        row = _found(eventually(there, f"{job_id} goes on", within, every=0.02))
        self.resumed.append(row.began_at)
        return time.monotonic() - began

    def ends(self, job_id: str, within: float = 180) -> Attempt:
        """The job, once nothing happens to it any more."""

        def over() -> Attempt | None:
            row = self.row(job_id)
            return row if row.state in ("succeeded", "failed", "cancelled") else None

        return _found(eventually(over, f"the end of {job_id}", within))

    def findings(self, job_id: str) -> list[str]:
        """What was noticed about a job while it ran."""
        query = select(Event.data).where(Event.job_id == job_id, Event.type == "finding")
        with self.database.session(write=False) as session:
            return [str(data["finding"]) for data in session.scalars(query)]

    def error(self, job_id: str) -> dict[str, Any]:
        """Why a job failed."""
        with self.database.session(write=False) as session:
            return session.scalars(select(Job.error).where(Job.id == job_id)).one() or {}

    def retry(self, job_id: str) -> str:
        """A new job that goes on where a failed one was."""
        answer = self.ledger.note(self.service.http.post(f"/v1/jobs/{job_id}/retry"))
        assert answer.status_code == 202, answer.text
        again = str(answer.json()["id"])
        self.ledger.accepted.append(again)
        return again

    def metric(self, name: str) -> int:
        """A counter of the service, over all its labels."""
        text = self.service.http.get("/metrics").text
        lines = (line for line in text.splitlines() if line.startswith(name))
        return sum(int(float(line.split()[-1])) for line in lines)

    # -- processes

    @property
    def api(self) -> Process:
        """The process that answers."""
        (found,) = [process for process in self.service.processes if process.name == "app"]
        return found

    def pid_of(self, worker: str | None) -> int:
        """The process that trains."""
        with self.database.session(write=False) as session:
            return session.scalars(select(Worker.pid).where(Worker.id == worker)).one()

    def supervisor_of(self, pid: int) -> Process:
        """The worker whose child this is."""
        ancestors = {process.pid for process in psutil.Process(pid).parents()}
        (found,) = [process for process in self.service.processes if process.pid in ancestors]
        return found

    def elsewhere(self) -> dict[str, str]:
        """The environment of a worker on a machine of its own, as far as anybody can tell."""
        return switched("elsewhere", elsewhere=f"machine {next(self.machines)}")

    def start_warm(self, **env: str) -> Process:
        """A worker, once its children can train."""
        worker = self.service.start_worker(**env)
        eventually(lambda: self.children_of(worker), "it is warm", within=240, every=0.2)
        return worker

    def children_of(self, worker: Process) -> set[int]:
        """Its warm children that train."""
        training = select(Worker.pid).where(Worker.pool == "training")
        with self.database.session(write=False) as session:
            return {*tree_of(worker.pid)} & set(session.scalars(training))

    def kill_worker(self, worker: Process) -> None:
        """``kill -9`` of a supervisor and all that it started, at once."""
        for pid in tree_of(worker.pid):
            os.kill(pid, signal.SIGKILL)
        worker.wait(within=5)
        self.service.processes.remove(worker)


def tree_of(pid: int) -> list[int]:
    """A process and all that it started, itself first."""
    return [pid, *(process.pid for process in psutil.Process(pid).children(recursive=True))]


def _found(row: Any) -> Attempt:
    assert isinstance(row, Attempt)
    return row


def switched(*switches: str, **settings: object) -> dict[str, str]:
    """The environment of a process in which these switches are turned (``switches``)."""
    return {
        "FALLLINE_SWITCHES": ",".join(switches),
        "PYTHONPATH": str(Path(__file__).parent / "switches"),
    } | {f"FALLLINE_SWITCH_{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def world(
    kind: databases.Database,
    *,
    workers: int,
    children: int,
    switches: Sequence[str] = (),
    **settings: object,
) -> Iterator[World]:
    """A deployment that is up; it leaves no process behind. ``switches``: of its workers."""
    with kind.empty() as url:
        service = Service(url, worker_processes=children, **settings)
        database = Database(url)
        try:
            service.migrate()
            service.start_api()
            for _ in range(workers):
                service.start_worker(**switched(*switches))
            service.wait_ready()
            with Ledger(service, database) as ledger:
                yield World(kind, service, ledger, database)
        finally:
            database.dispose()
            service.close()
