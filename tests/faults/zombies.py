"""Workers that are thought dead and are not."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import libfaketime
import psutil
from sqlalchemy import select

from app.tables import Checkpoint, Job
from tests.databases import Postgresql
from tests.faults.plan import fault
from tests.faults.proxy import Mode, Proxy
from tests.faults.stillness import freeze_inside, still
from tests.faults.world import Attempt, World, tree_of
from tests.servers import Process, eventually

REFUSED = "fallline_refused_writes_total"


@fault(
    "F8",
    "a worker frozen past its lease, then continued, also within a transaction",
    "no write accepted, it stops within a heartbeat; refused writes are counted",
    workers=2,
    children=1,
)
def frozen(world: World, draw: random.Random) -> str:
    return "; ".join(freezes(world, draw, where) for where in ("anywhere", "in a transaction"))


def freezes(world: World, draw: random.Random, where: str) -> str:
    """One worker, all of its processes."""
    job_id = world.post(iterations=6000)
    at = world.moment(draw, job_id)
    pid = world.pid_of(at.worker)
    tree = tree_of(world.supervisor_of(pid).pid)
    if where != "anywhere":
        freeze_inside(world, job_id, pid)
    with still(tree):
        took = world.goes_on(job_id, at, within=90)
        refused = world.metric(REFUSED)
        was_killed = not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"
    woken = time.monotonic()
    if was_killed:  # it kept a SQLite database locked, and nothing else would have helped
        stopped = "killed"
    else:
        eventually(lambda: world.metric(REFUSED) > refused, "a write is refused", within=30)
        stopped = f"refused {time.monotonic() - woken:.1f} s after it woke"
        assert time.monotonic() - woken <= 10, stopped
    row = world.ends(job_id)
    assert row.attempts == at.attempts + 1, row
    assert row.worker != at.worker
    return f"{where}: taken over after {took:.1f} s, the zombie {stopped}"


class Far(NamedTuple):
    """A worker that reaches the database and the broker through proxies."""

    process: Process
    broker: Proxy
    database: Proxy | None


@fault(
    "F9",
    "a worker cut off from the database, or from Redis; one way, both, late, reset",
    "its effects stop before its lease is granted again; without Redis its job does not notice",
    children=1,
)
def partitioned(world: World, draw: random.Random) -> str:
    told = []
    with far_worker(world) as far:
        without: list[Mode] = ["drop", "mute", "reset"]
        told += [without_broker(world, draw, far, mode) for mode in without]
        if far.database is not None:
            told.append(late(world, draw, far, far.database))
            modes: list[Mode] = ["drop", "deaf", "mute", "reset"]
            told += [without_database(world, draw, far, far.database, mode) for mode in modes]
    return "; ".join(told)


@contextmanager
def far_worker(world: World) -> Iterator[Far]:
    """One beside the one that is near."""
    folder = Path(tempfile.mkdtemp(prefix="fl-far-"))
    service, database = world.service, None
    broker = Proxy(folder / "redis", service.redis.socket)
    env = {"FALLLINE_BROKER_URL": f"redis+socket://{folder}/redis"}
    if isinstance(world.kind, Postgresql):
        near, socket = world.kind.server.folder, ".s.PGSQL.5432"
        database = Proxy(folder / socket, near / socket)
        env["FALLLINE_DATABASE_URL"] = service.database_url.replace(str(near), str(folder))
    try:
        far = Far(world.start_warm(**env, **world.elsewhere()), broker, database)
        yield far
        broker.tell("pass")
        service.stop(far.process)
    finally:
        for proxy in (broker, database):
            if proxy is not None:
                proxy.close()
        shutil.rmtree(folder)


def at_far(world: World, draw: random.Random, far: Far) -> tuple[str, Attempt]:
    """A job somewhere in its run, in the hands of the far worker."""
    for _ in range(12):
        job_id = world.post()
        at = world.moment(draw, job_id)
        if world.supervisor_of(world.pid_of(at.worker)) is far.process:
            return job_id, at
        world.ends(job_id)
    raise AssertionError("the far worker never had a job")


def without_broker(world: World, draw: random.Random, far: Far, mode: Mode) -> str:
    """Who trains does not notice; others have the work, and it hears again afterwards."""
    job_id, at = at_far(world, draw, far)
    far.broker.tell(mode)
    began = time.monotonic()
    other = world.post()
    world.reaches(other, 1, within=60)
    took = time.monotonic() - began
    time.sleep(max(0.0, 10 - took))
    assert world.ends(job_id).attempts == at.attempts, "a running job noticed"
    world.ends(other)
    far.broker.tell("pass")
    (near,) = (p for p in world.service.processes if p.name == "worker" and p is not far.process)
    world.service.stop(near)
    began = time.monotonic()
    again = world.post()
    world.reaches(again, 1, within=120)
    back = time.monotonic() - began
    world.service.start_worker()
    world.ends(again)
    world.in_time(60, took, back)
    return f"Redis {mode}: others began after {took:.1f} s, it after {back:.1f} s"


def late(world: World, draw: random.Random, far: Far, database: Proxy) -> str:
    """Everything takes longer, and nothing else."""
    job_id, at = at_far(world, draw, far)
    database.delay = 0.3
    time.sleep(15)
    database.delay = 0.0
    row = world.ends(job_id)
    assert (row.fence, row.attempts) == (at.fence, at.attempts), row
    return "database late: 1 attempt"


def without_database(
    world: World, draw: random.Random, far: Far, database: Proxy, mode: Mode
) -> str:
    """The near worker takes the job over; by then the far one has stopped to write files."""
    job_id, at = at_far(world, draw, far)
    refused = world.metric(REFUSED)
    database.tell(mode)
    began, ends_at = time.monotonic(), lease_of(world, job_id)
    written: dict[str, float] = {}
    named: set[str] = set()

    def taken_over() -> bool:
        look(world, written, named)
        row = world.row(job_id)
        return row.fence > at.fence and row.state != "queued" and row.done > 0

    while not taken_over():
        ends_at = max(ends_at, lease_of(world, job_id) if unclaimed(world, at, job_id) else ends_at)
        assert time.monotonic() - began < 90, "nobody took the job over"
        time.sleep(0.05)
    took = time.monotonic() - began
    for _ in range(50):
        look(world, written, named)
        time.sleep(0.05)
    database.tell("pass")
    eventually(lambda: world.metric(REFUSED) > refused, "its write is refused", within=40)
    row = world.ends(job_id)
    look(world, written, named)
    assert row.attempts == at.attempts + 1, row
    strays = [moment for location, moment in written.items() if location not in named]
    assert all(moment < ends_at.timestamp() for moment in strays), "a file after its lease"
    last = max((ends_at.timestamp() - moment for moment in strays), default=None)
    said = "no file without a row" if last is None else f"last file {last:.0f} s before its end"
    return f"database {mode}: taken over after {took:.1f} s, {said}"


def unclaimed(world: World, at: Attempt, job_id: str) -> bool:
    """Whether the job still is held as it was."""
    row = world.row(job_id)
    return row.fence == at.fence and row.state == "running"


def lease_of(world: World, job_id: str) -> datetime:
    """Until when the job was promised to its worker."""
    with world.database.session(write=False) as session:
        found = session.scalar(select(Job.lease_expires_at).where(Job.id == job_id))
    return found or datetime.fromtimestamp(0).astimezone()


def look(world: World, written: dict[str, float], named: set[str]) -> None:
    """Which checkpoints are there, since when, and which of them a row ever named."""
    for path in (world.objects / "ckpt").glob("*/ckpt*"):
        if (location := path.relative_to(world.objects).as_posix()) not in written:
            try:
                written[location] = path.stat().st_mtime
            except FileNotFoundError:  # thinned just now
                continue
    with world.database.session(write=False) as session:
        named |= set(session.scalars(select(Checkpoint.location)))


@fault(
    "F18",
    "workers' clocks off by an hour, both ways",
    "leases are as ever: taken over within 10 and 30 s, and never before",
    children=1,
    kinds=("postgresql",),
)
def clocks_off(world: World, draw: random.Random) -> str:
    service = world.service
    right = service.processes[-1]
    for by in ("+3600", "-3600"):
        world.start_warm(**clock_off(by), **world.elsewhere())
    service.stop(right)
    long = [world.post(iterations=12_000) for _ in range(2)]
    for job_id in long:
        assert world.ends(job_id, within=600).attempts == 1, "taken from a worker that lives"
    job_id = world.post()
    at = world.moment(draw, job_id)
    os.kill(world.pid_of(at.worker), signal.SIGKILL)
    child = world.goes_on(job_id, at, within=60)
    world.ends(job_id)
    job_id = world.post()
    at = world.moment(draw, job_id)
    world.kill_worker(world.supervisor_of(world.pid_of(at.worker)))
    whole = world.goes_on(job_id, at, within=60)
    world.in_time(10, child)
    world.in_time(30, whole)
    return f"child {child:.1f} s, whole worker {whole:.1f} s"


def clock_off(by: str) -> dict[str, str]:
    """The environment of processes to whom every clock on the wall is so many seconds off."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {"LD_PRELOAD": str(library), "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
