"""What tells whether something happened to a job, for many jobs at once."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.tables import Job


class JobRevision(NamedTuple):
    """A job's state, how many losses are durable, how many entries its log has."""

    state: str
    iteration: int
    events: int


def of(session: Session, job_ids: list[str]) -> dict[str, JobRevision]:
    """The jobs of these that are there."""
    query = select(Job.id, Job.state, Job.iteration, Job.events).where(Job.id.in_(job_ids))
    return {
        row.id: JobRevision(row.state, row.iteration, row.events) for row in session.execute(query)
    }


def glance(job: Job) -> JobRevision:
    """The same of a job that is at hand."""
    return JobRevision(job.state, job.iteration, job.events)
