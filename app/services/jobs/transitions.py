"""What happens to a job's state: every change goes through ``move``, and is told in its log."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import broker, job_state
from app.database.base import db_now
from app.database.session import after_commit
from app.errors import UnknownJob
from app.services.jobs import event_log
from app.services.operations import counters
from app.tables import HELD, TERMINAL, Job, JobState


def lock(session: Session, job_id: str) -> Job:
    """A job that nobody else changes until this transaction ends; raises ``NotFound``."""
    query = select(Job).where(Job.id == job_id).with_for_update()
    job = session.scalar(query.execution_options(populate_existing=True))
    if job is None:
        raise UnknownJob(job_id)
    return job


def transition(
    session: Session, job_id: str, arrow: str, reason: str | None = None, **values: Any
) -> Job:
    """Takes an arrow of ``app.job_state``; raises ``Conflict`` where there is none.

    ``values``: what else changes with it. Whoever is not held by a worker has no lease.
    """
    job = lock(session, job_id)
    return transition_locked(session, job, job.state, arrow, reason, **values)


def transition_locked(
    session: Session, job: Job, state: str, arrow: str, reason: str | None = None, **values: Any
) -> Job:
    """The same of a job that this transaction has locked, and found in a state."""
    target = job_state.next_state(arrow, state)
    if target not in HELD:
        values["lease_expires_at"] = None
    if target in TERMINAL:
        values["finished_at"] = db_now()
        outcome = values.get("error", {}).get("category", target)
        # In a row that its worker alone writes.
        shard = job.worker if state in HELD else None
        counters.add(session, {(counters.FINISHED, outcome): 1}, shard=shard or "")
    values |= {"state": target, "state_reason": reason, "events": Job.events + 1}
    update_job = update(Job).where(Job.id == job.id).values(**values).returning(Job)
    job = session.scalars(update_job.execution_options(populate_existing=True)).one()
    session.add(event_log.of_state(job))
    if target == JobState.QUEUED:
        after_commit(session, lambda: broker.notify(broker.TRAINING))
    return job


def cancel(session: Session, job_id: str) -> Job:
    """Ends a job at once: the fence rises, so a worker that still computes it can write no more."""
    return transition(session, job_id, "cancel", "cancelled on request", fence=Job.fence + 1)


def pause(session: Session, job_id: str) -> Job:
    """A waiting job rests at once; a running one as soon as its worker has saved its state."""
    return transition(session, job_id, "pause", "paused on request")


def resume(session: Session, job_id: str) -> Job:
    """Back into the queue, from where it stood."""
    return transition(session, job_id, "resume", "resumed on request")
