"""Jobs: create, find, delete."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.column_types import entry
from app.database.pagination import Page, page
from app.database.session import after_commit
from app.errors import Conflict, UnknownJob
from app.hints.publisher import note
from app.storage import Storage
from app.tables import TERMINAL, Checkpoint, Job


def get_many(session: Session, job_ids: Collection[str]) -> dict[str, Job]:
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


def list_page(session: Session, limit: int, after: str | None, wanted: Filters) -> Page[Job]:
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
    note(session, job_id, None)
