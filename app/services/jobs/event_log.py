"""The log of a job: what happened to it, in order."""

from typing import Any

from sqlalchemy import Row, event, update
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapper, Session, object_session

from app.hints.message import Counters
from app.hints.publisher import note
from app.ids import new_id
from app.tables import TERMINAL, Event, Job

Raised = Row[str, str, int, int]
"""Of a job's row: id, tenant, count of entries, iteration."""


def record(session: Session, job_id: str, type_: str, data: dict[str, Any]) -> None:
    """Adds an entry to a job's log, in the transaction of what it tells.

    The row of the job is locked by this, so the entries of a job get ascending numbers.
    """
    raised = (
        update(Job)
        .where(Job.id == job_id)
        .values(events=Job.events + 1)
        .returning(Job.id, Job.tenant_id, Job.events, Job.iteration)
        .execution_options(synchronize_session=False)
    )
    session.add(entry(session.execute(raised).one(), type_, data))


def first(job: Job, type_: str, data: dict[str, Any]) -> Event:
    """The first entry of the log of a job that is just being made, to be kept with it."""
    job.events = 1
    return entry(job, type_, data)


def entry(job: Job | Raised, type_: str, data: dict[str, Any], *, last: bool = False) -> Event:
    """The entry that ``job.events`` was raised for, to be added in the same transaction. ``last``:
    the job ended here; what was measured after its last update stands before this entry."""
    iteration = job.iteration or 0
    return Event(
        id=new_id("evt"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        sequence=job.events + iteration + int(last),
        iteration=iteration,
        type=type_,
        data=data,
    )


def of_state(job: Job) -> Event:
    """The entry for a change of state, which raised ``job.events``."""
    data = {"state": job.state, "reason": job.state_reason, "attempt": job.attempts}
    return entry(job, "state", data, last=job.state in TERMINAL)


@event.listens_for(Event, "after_insert")
def hinted(mapper: Mapper[Event], connection: Connection, row: Event) -> None:
    """Whoever adds an entry, and so whoever changes a job's state, tells those who watch."""
    session = object_session(row)
    assert session is not None, "an entry without a session"
    # For the last entry of a job this is one too many: it is looked at once more, no harm.
    note(session, row.job_id, Counters(row.iteration, row.sequence - row.iteration))
