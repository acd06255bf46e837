"""Jobs: create, find, delete."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import queue
from app.db import Look, after_commit
from app.errors import Conflict, Invalid, UnknownJob
from app.ids import new_id
from app.services import datasets, events, quotas
from app.services.pages import Page, page
from app.storage import Storage
from app.tables import TERMINAL, Checkpoint, Job, JobState
from app.tables.columns import entry
from training.datasets.uploaded import Resolver
from training.spec.mistakes import Mistakes
from training.spec.plan import Plan
from training.validation.check import Limits, check
from training.validation.fusion_rules import fusion_key, why_not_fusable


def planned(look: Look, raw: Any, limits: Limits) -> Plan:
    """What a new job would do; raises ``Invalid`` with every mistake of the specification."""
    return checked(raw, limits, datasets.asker(look))


def create(session: Session, plan: Plan, request_id: str) -> Job:
    """A new job, queued."""
    job = new(plan, request_id)
    enqueue(session, [job], None)
    return job


def checked(raw: Any, limits: Limits, stored: Resolver) -> Plan:
    """The plan of a specification; raises ``Invalid`` with every mistake."""
    try:
        return check(raw, limits, stored)
    except Mistakes as found:
        count = len(found.mistakes)
        summary = f"the specification has {count} mistake{'s' * (count != 1)}"
        raise Invalid(summary, found.mistakes, code="invalid_specification") from found


def new(plan: Plan, request_id: str, job_id: str | None = None, **columns: Any) -> Job:
    """A job that is not kept yet; ``columns`` are what does not follow from its plan."""
    job_id, spec = job_id or new_id("job"), plan.spec
    values: dict[str, Any] = {
        "id": job_id,
        "name": spec.name or job_id,
        "spec": spec.model_dump(mode="json"),
        "labels": spec.metadata,
        "priority": spec.priority,
        "device_wanted": spec.device,
        "iterations": plan.iterations,
        "series": ["loss", *plan.validation_series],
        "dataset_id": datasets.named_in(spec),
        "signature": plan.signature,
        "fusion_key": fusion_key(plan) if why_not_fusable(plan, "cpu") is None else None,
        "request_id": request_id,
    }
    return Job(**(values | columns))


def enqueue(session: Session, created: Sequence[Job], reason: str | None) -> None:
    """Keeps new jobs, tells their logs, and rings once. Every new job comes through here."""
    quotas.admit(session, len(created))
    needed = {job.dataset_id for job in created if job.dataset_id is not None}
    if needed:
        datasets.hold(session, needed)
    data = {"state": JobState.QUEUED, "reason": reason, "attempt": 0}
    log = [events.first(job, "state", data) for job in created]
    session.add_all(created)
    session.flush()
    session.add_all(log)
    session.flush()
    after_commit(session, lambda: queue.ring(queue.TRAINING))


def among(session: Session, job_ids: Collection[str]) -> dict[str, Job]:
    """The jobs of these ids that are there."""
    query = select(Job).where(Job.id.in_(job_ids))
    return {job.id: job for job in session.scalars(query)}


def get(session: Session, job_id: str, *, keep: bool = False) -> Job:
    """One job; raises ``NotFound``. ``keep``: it is not deleted before this transaction ends."""
    query = select(Job).where(Job.id == job_id)
    if keep:
        query = query.with_for_update(read=True, key_share=True)
    job = session.scalar(query)
    if job is None:
        raise UnknownJob(job_id)
    return job


class Filters(NamedTuple):
    """Which jobs are listed: in one of the states (``None``: any), of that name, with all these
    entries in their metadata."""

    states: Sequence[str] | None = None
    name: str | None = None
    metadata: Sequence[tuple[str, str]] = ()


def listed(session: Session, limit: int, after: str | None, wanted: Filters) -> Page[Job]:
    """Jobs, newest first."""
    query = select(Job)
    if wanted.states is not None:
        query = query.where(Job.state.in_(wanted.states))
    if wanted.name is not None:
        query = query.where(Job.name == wanted.name)
    for key, value in wanted.metadata:
        query = query.where(entry(Job.labels, key) == value)
    return page(session, query, Job.id, limit, after)


def delete(session: Session, storage: Storage, job_id: str) -> None:
    """Removes a finished job and its checkpoints; the models it left stay."""
    job = get(session, job_id)
    if job.state not in TERMINAL:
        raise Conflict(f"a job that is {job.state} cannot be deleted; cancel it first")
    locations = session.scalars(select(Checkpoint.location).where(Checkpoint.job_id == job_id))
    for location in list(locations):
        after_commit(session, partial(storage.delete, location))
    session.execute(sql_delete(Job).where(Job.id == job_id))
