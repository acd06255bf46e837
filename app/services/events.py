"""The log of a job: what happened to it, in order."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.ids import new_id
from app.tables import Event, Job


def record(
    session: Session, job_id: str, type_: str, data: dict[str, Any], *, last: bool = False
) -> None:
    """Adds an entry to a job's log, in the transaction of what it tells.

    The row of the job is locked by this, so the entries of a job get ascending numbers. ``last``:
    the job ended here; what was measured after its last update stands before this entry.
    """
    found = session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(events=Job.events + 1)
        .returning(Job.events, Job.iteration, Job.tenant_id)
        .execution_options(synchronize_session=False)
    )
    count, iteration, tenant_id = found.one()
    session.add(
        Event(
            id=new_id("evt"),
            tenant_id=tenant_id,
            job_id=job_id,
            sequence=count + iteration + int(last),
            iteration=iteration,
            type=type_,
            data=data,
        )
    )


def first(job: Job, type_: str, data: dict[str, Any]) -> Event:
    """The first entry of the log of a job that is just being made, to be kept with it."""
    job.events = 1
    return Event(
        id=new_id("evt"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        sequence=1 + (job.iteration or 0),
        iteration=job.iteration or 0,
        type=type_,
        data=data,
    )
