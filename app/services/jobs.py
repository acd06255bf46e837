"""Jobs: create, find, delete."""

from functools import partial
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import queue
from app.db import after_commit
from app.errors import Conflict, Invalid, NotFound
from app.ids import new_id
from app.services import control
from app.services.pages import Page, page
from app.storage import Storage
from app.tables import TERMINAL, Checkpoint, Job, JobState
from training.check import Limits, check
from training.mistakes import Mistakes


def create(session: Session, raw: Any, limits: Limits, request_id: str) -> Job:
    """A new job, queued; raises ``Invalid`` with every mistake of the specification."""
    try:
        plan = check(raw, limits)
    except Mistakes as found:
        count = len(found.mistakes)
        summary = f"the specification has {count} mistake{'s' * (count != 1)}"
        raise Invalid(summary, found.mistakes, code="invalid_specification") from found
    job_id, spec = new_id("job"), plan.spec
    job = Job(
        id=job_id,
        name=spec.name or job_id,
        spec=spec.model_dump(mode="json"),
        labels=spec.metadata,
        priority=spec.priority,
        device_wanted=spec.device,
        iterations=plan.iterations,
        series=["loss", *plan.validation_series],
        request_id=request_id,
    )
    session.add(job)
    session.flush()
    control.tell_state(session, job.id, JobState.QUEUED, None)
    after_commit(session, lambda: queue.ring(queue.TRAINING))
    return job


def get(session: Session, job_id: str) -> Job:
    """One job; raises ``NotFound``."""
    job = session.scalar(select(Job).where(Job.id == job_id))
    if job is None:
        raise NotFound(f"there is no job {job_id[:64]}")
    return job


def listed(session: Session, limit: int, after: str | None) -> Page[Job]:
    """Jobs, newest first."""
    return page(session, select(Job), Job.id, limit, after)


def delete(session: Session, storage: Storage, job_id: str) -> None:
    """Removes a finished job and its checkpoints; the models it left stay."""
    job = get(session, job_id)
    if job.state not in TERMINAL:
        raise Conflict(f"a job that is {job.state} cannot be deleted; cancel it first")
    locations = session.scalars(select(Checkpoint.location).where(Checkpoint.job_id == job_id))
    for location in list(locations):
        after_commit(session, partial(storage.delete, location))
    session.execute(sql_delete(Job).where(Job.id == job_id))
