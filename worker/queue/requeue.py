"""Takes rows back from workers that are lost."""

from typing import Any

import structlog
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from app import broker
from app.database.base import db_now
from app.database.session import after_commit
from app.services.jobs.transitions import transition
from app.services.operations.workers import SILENCE_SECONDS
from app.tables import Job, Task, TaskState, Worker
from worker.queue.attempt_end import AttemptEnd, crash_loop
from worker.queue.fence import held

log = structlog.get_logger()

Claimed = type[Job] | type[Task]


def waits(session: Session, table: Claimed, state: str, *where: Any) -> bool:
    """Whether any row is in a state."""
    return session.scalar(select(table.id).where(table.state == state, *where).limit(1)) is not None


def expired(table: Claimed, for_seconds: float = 0.0) -> ColumnElement[bool]:
    """Rows whose lease ran out, so long ago."""
    return table.lease_expires_at < db_now(-for_seconds)


def abandoned(table: Claimed, lease: float) -> ColumnElement[bool]:
    """Rows whose lease ran out and whose worker nobody looks after, or not to any effect."""
    looked_after = exists().where(
        Worker.id == table.worker, Worker.seen_at > db_now(-SILENCE_SECONDS)
    )
    return expired(table) & (~looked_after | expired(table, lease))


def requeue(session: Session, *where: Any, reason: str) -> int:
    """Takes jobs back from workers that are lost, or ends those that kill whoever works on them.

    The fence rises: should the worker still live, it can write no more. Two deaths at the same
    iteration are no accident. Returns how many jobs it took back.
    """
    jobs = session.scalars(
        select(Job).where(held(Job), *where).with_for_update(skip_locked=True)
    ).all()
    for job in jobs:
        at = job.attempt_iteration
        again = job.death_iteration == at
        death = {
            "fence": job.fence + 1,
            "deaths": job.deaths + 1,
            "death_iteration": at,
        }
        end = crash_loop(at) if again else AttemptEnd("lose", reason)
        moved = transition(session, job.id, end.arrow, end.reason, **end.values, **death)
        log.warning("job taken back", job_id=job.id, reason=reason, state=moved.state)
    return len(jobs)


def requeue_tasks(session: Session, *where: Any) -> int:
    """Questions whose worker is gone are asked again, once; then the answer is an error.

    Returns how many there were.
    """
    running = (held(Task), *where)
    failure = {"code": "worker_lost", "message": "two workers died over this question"}
    given_up = session.execute(
        update(Task)
        .where(*running, Task.fence > 1)
        .values(state=TaskState.FAILED, error=failure, finished_at=db_now(), fence=Task.fence + 1)
    )
    asked = session.execute(update(Task).where(*running).values(state=TaskState.QUEUED))
    if asked.rowcount:  # type: ignore[attr-defined]
        after_commit(session, lambda: broker.notify(broker.INTERACTIVE))
    return int(given_up.rowcount + asked.rowcount)  # type: ignore[attr-defined]
