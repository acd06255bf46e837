"""The long loop: ``kill -9`` again and again, and then every number is looked at.

python -m tests.faults --kills 200 [--defaults] [--seed N] [--database sqlite]
"""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import NoResultFound

from tests.databases import Database
from tests.faults.invariants import Undisturbed, check, learn, recorded, spec_of
from tests.faults.world import JOB, World, world

SHORT: dict[str, Any] = {"heartbeat_seconds": 1, "lease_seconds": 4, "sweep_seconds": 1}
"""In the place of 5, 20 and 5."""
WORKERS = 3
"""On a machine each, with a child each: one that was killed takes seconds to be warm again."""
AT_ONCE = 2
"""Jobs that are not over."""


@dataclass
class Tally:
    """What was found; the five from ``lost`` on are to be 0."""

    kills: int = 0
    resumed: int = 0
    jobs: int = 0
    lost: int = 0
    gaps: int = 0
    duplicates: int = 0
    changed: int = 0
    weights: int = 0
    minutes: float = 0.0
    slowest: dict[str, float] = field(default_factory=lambda: {"child": 0.0, "worker": 0.0})

    @property
    def clean(self) -> bool:
        """Nothing is lost, missing, doubled or changed."""
        return not (self.lost or self.gaps or self.duplicates or self.changed or self.weights)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.resumed} resumed at > 0; {self.jobs} jobs: "
            f"{self.lost} lost, {self.gaps} gaps, {self.duplicates} duplicates, "
            f"{self.changed} changed losses, {self.weights} other weights; "
            f"on again after {self.slowest['child']:.1f} s (child), "
            f"{self.slowest['worker']:.1f} s (worker) at most ({self.minutes:.1f} min)"
        )


def loop(kind: Database, count: int, seed: int, *, defaults: bool) -> Tally:
    """So many kills, and what came of them."""
    draw, undisturbed, began = random.Random(f"{seed} kills"), Undisturbed(), time.monotonic()
    settings = {} if defaults else SHORT
    with world(kind, workers=1, children=1, **settings) as there:
        for _ in range(WORKERS - 1):
            there.start_warm(**there.elsewhere())
        learn(there, undisturbed)
        tally, jobs = Tally(), list[str]()
        while tally.kills < count:
            jobs = [job_id for job_id in jobs if there.row(job_id).state != "succeeded"]
            jobs += [there.post() for _ in range(AT_ONCE - len(jobs))]
            strike(there, draw, draw.choice(jobs), tally)
        look(there, undisturbed, tally)
        if tally.clean:
            check(there, undisturbed)
    tally.minutes = (time.monotonic() - began) / 60
    return tally


def strike(world: World, draw: random.Random, job_id: str, tally: Tally) -> None:
    """Kills the child that trains a job, or its whole worker, somewhere in 5 to 95 % of its run."""
    row = world.row(job_id)
    first = max(0.05, row.iteration / JOB["iterations"])
    if row.state == "succeeded" or first >= 0.95:
        world.ends(job_id)
        return
    wanted = int(JOB["iterations"] * draw.uniform(first, min(0.95, first + 0.4)))
    victim = "worker" if draw.random() < 0.25 else "child"
    try:
        at = world.reaches(job_id, wanted)
        pid = world.pid_of(at.worker)
    except (AssertionError, NoResultFound):
        if world.row(job_id).state == "succeeded":
            return  # it was faster
        raise
    if victim == "worker":
        world.kill_worker(world.supervisor_of(pid))
        world.service.start_worker(**world.elsewhere())
    else:
        os.kill(pid, signal.SIGKILL)
    took = world.goes_on(job_id, at, within=90)
    row = world.row(job_id)
    if row.fence > at.fence:  # else its end was recorded before the signal came
        tally.kills += 1
        tally.resumed += row.began_at > 0
        tally.slowest[victim] = max(tally.slowest[victim], took)


def look(world: World, undisturbed: Undisturbed, tally: Tally) -> None:
    """At every job that was accepted."""
    for job_id in world.ledger.accepted:
        row = world.ends(job_id)
        tally.jobs += 1
        if row.state != "succeeded":
            tally.lost += 1
            continue
        series, weights = recorded(world, job_id)
        expected, right = undisturbed[spec_of(world, job_id)]
        iterations = series["loss"]["iteration"]
        tally.gaps += len(set(range(row.iteration)) - set(iterations))
        tally.duplicates += len(iterations) - len(set(iterations))
        for name, points in expected.items():
            pairs = zip(series[name]["value"], points["value"], strict=False)
            tally.changed += sum(a != b for a, b in pairs)
        tally.weights += weights != right
    world.ledger.look()
    tally.changed += len(world.ledger.broken)
