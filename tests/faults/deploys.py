"""Workers that are told to stop, while they work."""

import random
import time

from sqlalchemy import select

from app.tables import Event
from tests.faults.invariants import recorded
from tests.faults.plan import fault
from tests.faults.world import World

RESTARTS = 50
LONG = {"iterations": 20_000, "checkpoint_every_seconds": 30}
"""A block at a time is all that a restart may cost: no checkpoint comes by itself meanwhile."""
A_BLOCK = 500
"""Iterations that 0.2 s are good for, at the most."""


@fault(
    "F15",
    f"SIGTERM under load, {RESTARTS} times",
    "each gone within 10 s; at most one block repeated, no attempt used, no job failed",
    workers=2,
    children=1,
)
def rolling_restarts(world: World, draw: random.Random) -> str:
    longest, jobs = 0.0, [world.post(**LONG)]
    for _ in range(RESTARTS):
        if world.row(jobs[-1]).iteration > LONG["iterations"] - 2_000:
            world.ends(jobs[-1])
            jobs.append(world.post(**LONG))
        longest = max(longest, restarted(world, draw, jobs[-1]))
    in_peace = world.post(**LONG)
    world.ends(in_peace, within=300)
    for job_id in jobs:
        row = world.ends(job_id, within=300)
        assert (row.state, row.attempts) == ("succeeded", 1), row
        assert recorded(world, job_id) == recorded(world, in_peace), "other numbers than in peace"
    world.in_time(10, longest)
    most = max(repeated(world, job_id) for job_id in jobs)
    assert most <= A_BLOCK, f"{most} iterations were computed again"
    return (
        f"gone after {longest:.1f} s at most, {most} iterations repeated at most; "
        f"{len(jobs)} jobs with 1 attempt each"
    )


def restarted(world: World, draw: random.Random, job_id: str) -> float:
    """The worker of a job is told to stop and another started; seconds that it took to end."""
    at = world.reaches(job_id, world.row(job_id).done + draw.randrange(1, 400))
    worker = world.supervisor_of(world.pid_of(at.worker))
    began = time.monotonic()
    assert world.service.stop(worker) == 0
    seconds = time.monotonic() - began
    assert world.row(job_id).attempts <= 1, "an attempt was used"
    world.service.start_worker()
    world.goes_on(job_id, at, within=120)
    return seconds


def repeated(world: World, job_id: str) -> int:
    """The most iterations of a job that were computed again when it went on."""
    query = select(Event.iteration, Event.data).where(Event.job_id == job_id)
    with world.database.session(write=False) as session:
        resumed = session.execute(query.where(Event.type == "resumed")).all()
    return max((recorded - data["iteration"] for recorded, data in resumed), default=0)
