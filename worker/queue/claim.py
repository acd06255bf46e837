"""Which job a worker takes next, and which others go along with it."""

import math
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, aliased

from app.database.base import db_now
from app.services.jobs import event_log, fair_order
from app.services.operations import workers
from app.services.tenancy import quotas
from app.tables import HELD, Job, JobState, Worker
from training.spec.plan import Segment
from training.tensors.numerics import Numerics, Unavailable
from training.validation.fusion_rules import why_not_fusable
from worker.process.job_inputs import segments_of
from worker.process.worker_process import WorkerProcess
from worker.queue.fence import claim

MAX_JOB_COUNT = 1000
"""Waiting jobs that are counted at most: more make no difference."""


class Claim(NamedTuple):
    """A job that this process has claimed; ``segments``, if the claim had to know them."""

    job: Job
    segments: tuple[Segment, ...] | None = None


def claim_next(child: WorkerProcess) -> Claim | None:
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
            fair_order.next_job(session, child.device, most),
            child.id,
            child.settings.lease_seconds,
            **claim_values(child),
        )
        if job is None:
            return None
        claimed = record_claim(session, child, job)
        quotas.claimed(session, job, most)
    return claimed


def claim_values(child: WorkerProcess) -> dict[str, Any]:
    """What changes about a job with a claim, besides who has it."""
    return {
        "state_reason": None,
        "attempts": Job.attempts + 1,
        "events": Job.events + 1,
        "attempt_iteration": 0,
        "attempt_started_at": db_now(),
        "started_at": func.coalesce(Job.started_at, db_now()),
        "device": child.device,
    }


def record_claim(session: Session, child: WorkerProcess, job: Job) -> Claim:
    """How the job is computed is decided with its first claim, and then kept."""
    segments = None
    if job.execution is None:
        if job.lineage or (job.fusion_key is not None and child.device != "cpu"):
            segments = segments_of(child, job)
        job.execution = execution(child, job, segments)
    if job.execution is not None and job.execution["class"] == "sequential":
        job.fusion_key = None
    session.add(event_log.of_state(job))
    return Claim(job, segments)


def can_be_grouped(job: Job) -> bool:
    """Whether others may be trained side by side with it. A job that was there when a process died
    goes on alone."""
    return job.fusion_key is not None and job.execution is not None and job.deaths == 0


def claim_compatible(child: WorkerProcess, lead: Job, members: int, room: int) -> list[Claim]:
    """Waiting jobs that may go along with one that this process trains beside ``members - 1``
    others: as many as leave no other process idle, none before one of a higher priority, and none
    while another tenant waits for its turn.
    """
    with child.database.session(write=False) as session:
        count = min(room, fair_share(session, child, lead, members))
    if count <= 0:
        return []
    with child.database.session() as session:
        candidates = session.scalars(
            select(Job.id)
            .where(*compatible_jobs(child, lead), Job.priority == highest_priority())
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
                lease_expires_at=db_now(child.settings.lease_seconds),
                **claim_values(child),
            )
            .returning(Job)
            .execution_options(populate_existing=True)
        ).all()
        claims = [record_claim(session, child, job) for job in taken]
    return sorted(claims, key=lambda claimed: claimed.job.id)


def compatible_jobs(child: WorkerProcess, lead: Job) -> list[ColumnElement[bool]]:
    """Waiting jobs of the same tenant that may be trained side by side with one."""
    return [
        Job.fusion_key == lead.fusion_key,
        Job.state == JobState.QUEUED,
        Job.tenant_id == lead.tenant_id,
        Job.deaths == 0,
        Job.device_wanted.in_(("auto", child.device)),
    ]


def highest_priority() -> ColumnElement[int]:
    """The highest priority of all that waits."""
    other = aliased(Job)
    query = select(func.max(other.priority)).where(other.state == JobState.QUEUED)
    return query.scalar_subquery()


def fair_share(session: Session, child: WorkerProcess, lead: Job, members: int) -> int:
    """How many more this process would train, if all of them were dealt evenly to the processes
    that train such jobs now or have nothing to do."""
    first = select(Job.id).where(*compatible_jobs(child, lead)).limit(MAX_JOB_COUNT).subquery()
    waiting = session.scalar(select(func.count()).select_from(first)) or 0
    if not waiting:
        return 0
    whose = select(func.min(Job.tenant_id), func.max(Job.tenant_id))
    ends = session.execute(whose.where(Job.state == JobState.QUEUED)).one()
    if members > 1 and set(ends) != {lead.tenant_id}:
        return 0
    beside = session.execute(
        select(func.count(Job.worker.distinct()), func.count()).where(
            Job.fusion_key == lead.fusion_key, Job.state.in_(HELD), Job.worker != child.id
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
            Worker.seen_at > db_now(-workers.SILENCE_SECONDS),
            Worker.id.not_in(busy),
            Worker.id != child.id,
        )
    )
    together = waiting + members + running
    return math.ceil(together / (1 + processes + (idle or 0))) - members


def execution(
    child: WorkerProcess, job: Job, segments: tuple[Segment, ...] | None
) -> dict[str, Any] | None:
    """How a job will be computed here; ``None``: not at all, as the attempt will say."""
    try:
        numerics = Numerics.on(child.device, job.spec["precision"])
    except Unavailable:
        return None
    if segments is None:
        fused = job.fusion_key is not None
    else:
        fused = why_not_fusable(segments[-1].plan, child.device) is None
    return {
        "class": "fused" if fused else "sequential",
        "runner": "eager",
        "group": 1,
        "precision": numerics.precision,
        "fingerprint": numerics.fingerprint(),
    }
