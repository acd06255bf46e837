"""Which job a worker takes next, and which others go along with it."""

import math
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, aliased

from app.db import clock
from app.services import events, quotas, turns, workers
from app.tables import HELD, Job, JobState, Worker
from training.company import apart
from training.numerics import Numerics, Unavailable
from worker.child import Child
from worker.course import legs_of
from worker.fence import claim

LOOKED_AT = 1000
"""Waiting jobs that are counted at most: more make no difference."""


def claim_next(child: Child) -> Job | None:
    """Priority first, then the tenant with the fewest running jobs, then age; a tenant that runs as
    many as it may is passed over.

    How the job will be computed is committed with the claim, before its first iteration; a job that
    was begun keeps what it was begun with.
    """
    most = child.settings.max_running_jobs
    with child.database.session() as session:
        job = claim(
            session,
            Job,
            turns.next_job(session, child.device, most),
            child.id,
            child.settings.lease_seconds,
            **begun(child),
        )
        if job is not None:
            begins(session, child, job)
            quotas.claimed(session, job, most)
    return job


def begun(child: Child) -> dict[str, Any]:
    """What changes about a job with a claim, besides who has it."""
    return {
        "state_reason": None,
        "attempts": Job.attempts + 1,
        "events": Job.events + 1,
        "attempt_iteration": 0,
        "attempt_started_at": clock(),
        "started_at": func.coalesce(Job.started_at, clock()),
        "device": child.device,
    }


def begins(session: Session, child: Child, job: Job) -> None:
    """How it is computed is decided with its first claim."""
    if job.execution is None:
        job.execution = execution(child, job)
    session.add(events.of_state(job))


def may_have_company(child: Child, job: Job) -> bool:
    """Whether others may be trained side by side with it. A fork repeats what others were before;
    whoever was there when a process died goes on alone."""
    fused = job.execution is not None and job.execution["class"] == "fused"
    return fused and job.forked_from is None and job.deaths == 0


def claim_company(child: Child, lead: Job, members: int, room: int) -> list[Job]:
    """Waiting jobs that may go along with one that this process trains beside ``members - 1``
    others: as many as leave no other process idle, none before one of a higher priority, and none
    while another tenant waits for its turn.
    """
    with child.database.session(write=False) as session:
        count = min(room, share(session, child, lead, members))
    if count <= 0:
        return []
    with child.database.session() as session:
        candidates = session.scalars(
            select(Job.id)
            .where(*companions(child, lead), Job.priority == top())
            .order_by(Job.id)
            .limit(count)
            .with_for_update(skip_locked=True, of=Job)
        ).all()
        if not candidates:
            return []
        taken = session.scalars(
            update(Job)
            .where(Job.id.in_(candidates), Job.state == JobState.QUEUED)
            .values(
                state=JobState.RUNNING,
                fence=Job.fence + 1,
                worker=child.id,
                lease_expires_at=clock(child.settings.lease_seconds),
                **begun(child),
            )
            .returning(Job)
            .execution_options(populate_existing=True)
        ).all()
        for job in taken:
            begins(session, child, job)
    return sorted(taken, key=lambda job: job.id)


def companions(child: Child, lead: Job) -> list[ColumnElement[bool]]:
    """Waiting jobs of the same tenant that may be trained side by side with one."""
    return [
        Job.company == lead.company,
        Job.state == JobState.QUEUED,
        Job.tenant_id == lead.tenant_id,
        Job.forked_from.is_(None),
        Job.deaths == 0,
        Job.device_wanted.in_(("auto", child.device)),
    ]


def top() -> ColumnElement[int]:
    """The highest priority of all that waits."""
    other = aliased(Job)
    query = select(func.max(other.priority)).where(other.state == JobState.QUEUED)
    return query.scalar_subquery()


def share(session: Session, child: Child, lead: Job, members: int) -> int:
    """How many more this process would train, if all of them were dealt evenly to the processes
    that train such jobs now or have nothing to do."""
    first = select(Job.id).where(*companions(child, lead)).limit(LOOKED_AT).subquery()
    waiting = session.scalar(select(func.count()).select_from(first)) or 0
    if not waiting:
        return 0
    whose = select(func.min(Job.tenant_id), func.max(Job.tenant_id))
    ends = session.execute(whose.where(Job.state == JobState.QUEUED)).one()
    if members > 1 and set(ends) != {lead.tenant_id}:
        return 0
    beside = session.execute(
        select(func.count(Job.worker.distinct()), func.count()).where(
            Job.company == lead.company, Job.state.in_(HELD), Job.worker != child.id
        )
    ).one()
    processes, running = int(beside[0]), int(beside[1])
    busy = select(Job.worker).where(Job.state.in_(HELD), Job.worker.is_not(None))
    idle = session.scalar(
        select(func.count())
        .select_from(Worker)
        .where(
            Worker.pool == "training",
            Worker.device == child.device,
            Worker.seen_at > clock(-workers.SILENCE),
            Worker.id.not_in(busy),
            Worker.id != child.id,
        )
    )
    together = waiting + members + running
    return math.ceil(together / (1 + processes + (idle or 0))) - members


def execution(child: Child, job: Job) -> dict[str, Any] | None:
    """How a job will be computed here; ``None``: not at all, as the attempt will say."""
    try:
        numerics = Numerics.on(child.device, job.spec["precision"])
    except Unavailable:
        return None
    return {
        "class": "fused" if fused(child, job) else "sequential",
        "runner": "eager",
        "group": 1,
        "precision": numerics.precision,
        "fingerprint": numerics.fingerprint(),
    }


def fused(child: Child, job: Job) -> bool:
    """Whether its numerics class is *fused* here; where it is, it also is on a CPU."""
    if job.company is None or child.device == "cpu":
        return job.company is not None
    return apart(legs_of(child, job)[-1].plan, child.device) is None
