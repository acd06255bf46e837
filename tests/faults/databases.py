"""The database goes away, stands still, or hears of a COMMIT at a bad moment."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import psutil
from sqlalchemy import func, select, text

from app.tables import Job
from app.tables import JobState as State
from tests.databases import Postgresql
from tests.faults.plan import fault
from tests.faults.stillness import still
from tests.faults.world import JOB, Attempt, World, switched, tree_of
from tests.servers import Postgres, eventually

Outage = Callable[[Postgres], AbstractContextManager[None]]


@fault(
    "F5",
    "PostgreSQL killed, for 0, 20 and 60 s, and frozen for 30 s",
    "503s only, no false 202; every job goes on under its fence, with its one attempt",
    kinds=("postgresql",),
)
def postgresql_away(world: World, draw: random.Random) -> str:
    outages: list[tuple[Outage, float]] = [(killed, 0), (broken_off, 20), (killed, 60)]
    told = []
    for outage, seconds in [*outages, (frozen, 30)]:
        told.append(one_outage(world, draw, outage, seconds))
    eventually(lambda: unfinished(world) == 0, "what was accepted after all ends too", within=300)
    return "; ".join(told)


def one_outage(world: World, draw: random.Random, outage: Outage, seconds: float) -> str:
    """A job runs, the database goes away, and comes back."""
    assert isinstance(world.kind, Postgresql)
    job_id = world.post()
    at = world.moment(draw, job_id)
    with outage(world.kind.server):
        slowest = refused_for(world, job_id, seconds)
    back = time.monotonic()
    known = world.row(job_id)
    eventually(lambda: moved(world.row(job_id), known), "it goes on", within=60, every=0.05)
    took = time.monotonic() - back
    row = world.ends(job_id)
    assert (row.state, row.fence, row.attempts) == ("succeeded", at.fence, 1), row
    name = outage.__name__.replace("_", " ")
    return f"{name} {seconds} s: 503 after {slowest:.1f} s at most, goes on after {took:.1f} s"


def moved(row: Attempt, before: Attempt) -> bool:
    """Whether a job has come further, or has ended."""
    return row.done > before.done or row.state not in ("queued", "running")


def refused_for(world: World, job_id: str, seconds: float) -> float:
    """Asks all the while, to be refused each time; the longest that one had to wait."""
    until, slowest = time.monotonic() + seconds, 0.0
    asks: list[Callable[[], httpx2.Response]] = [
        lambda: world.service.http.post("/v1/jobs", json=JOB),
        lambda: world.service.http.get(f"/v1/jobs/{job_id}"),
        lambda: world.service.http.get("/v1/jobs"),
        lambda: world.service.http.post(f"/v1/jobs/{job_id}/cancel"),
    ]
    while time.monotonic() < until:
        for ask in asks:
            began = time.monotonic()
            answer = world.ledger.note(ask())
            assert answer.status_code == 503, f"{answer.request.url}: {answer.text}"
            slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.5)
    assert slowest <= 15, f"a client waited for {slowest:.1f} s to be refused"
    return slowest


def unfinished(world: World) -> int:
    """Jobs that have not ended, those among them whose client heard a 503 (it may be unknown
    whether a COMMIT took effect)."""
    ended = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    with world.database.session(write=False) as session:
        query = select(func.count()).select_from(Job).where(Job.state.not_in(ended))
        return session.scalar(query) or 0


def killed(server: Postgres) -> AbstractContextManager[None]:
    """``kill -9`` of the postmaster; its children notice."""
    return gone(server, signal.SIGKILL)


def broken_off(server: Postgres) -> AbstractContextManager[None]:
    """An immediate shutdown: no session is ended in order, no checkpoint is written."""
    return gone(server, signal.SIGQUIT)


@contextmanager
def gone(server: Postgres, by: signal.Signals) -> Iterator[None]:
    """Ended by a signal, and started again."""
    sessions = psutil.Process(server.process.pid).children(recursive=True)
    server.process.signal(by)
    server.process.wait(within=10)
    eventually(lambda: not any(p.is_running() for p in sessions), "its sessions end", within=20)
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """All of its processes stand still: connections stay, and nothing is answered."""
    server.process.signal(signal.SIGSTOP)  # it starts no more
    with still(tree_of(server.process.pid)):
        yield


@fault("F17", "SIGTERM inside COMMIT, of a claim and of blocks", "no orphan, no double effect")
def terminated_in_commit(world: World, draw: random.Random) -> str:
    service = world.service
    service.stop(service.processes[-1])  # the one that has no switch
    commits = [2, 3, *sorted(draw.sample(range(4, 20), 4))]
    jobs = []
    for number in commits:
        jobs.append(world.post())
        worker = service.start_worker(**switched("sigterm_in_commit", at=number))
        assert worker.wait(within=300) == 0, worker.tail()
        service.processes.remove(worker)
        for job_id in jobs:
            row = world.row(job_id)
            assert row.state in ("queued", "succeeded"), f"COMMIT {number} left {row}"
            assert row.attempts == (row.state == "succeeded"), f"COMMIT {number} used {row}"
    service.start_worker()
    for job_id in jobs:
        assert world.ends(job_id).attempts == 1
    return f"in COMMITs {commits} of a worker: {len(jobs)} jobs, 1 attempt each"


@fault(
    "F21",
    "SQLite: kill -9 at any point, two workers",
    "all that holds elsewhere",
    kinds=("sqlite",),
    workers=2,
    children=1,
)
def sqlite_killed(world: World, draw: random.Random) -> str:
    slowest = {"child": 0.0, "worker": 0.0}
    for _ in range(12):
        job_id = world.post()
        at = world.moment(draw, job_id)
        pid = world.pid_of(at.worker)
        victim = draw.choice(["child", "child", "worker"])
        if victim == "child":
            os.kill(pid, signal.SIGKILL)
        else:
            world.kill_worker(world.supervisor_of(pid))
        slowest[victim] = max(slowest[victim], world.goes_on(job_id, at, within=90))
        if victim == "worker":
            world.start_warm()
        world.ends(job_id)
    with world.database.session(write=False) as session:
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    world.in_time(10, slowest["child"])
    world.in_time(30, slowest["worker"])
    return "12 kills; slowest " + ", ".join(f"{n} {s:.1f} s" for n, s in slowest.items())
