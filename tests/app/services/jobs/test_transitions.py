"""Changes of state: legal ones are told in the log, the others leave no trace."""

import pytest
from sqlalchemy import exc, select, update

from app.database.session import Database
from app.errors import Conflict, NotFound
from app.services.jobs import transitions
from app.tables import TERMINAL, Event, Job, JobState, Tenant
from tests.app.database.test_session import new_job


def made(rows: Database, **columns: object) -> str:
    """A job of the default tenant."""
    with rows.session() as session:
        job = new_job(tenant_id=session.scalars(select(Tenant.id)).one(), **columns)
        session.add(job)
        return job.id


def row(rows: Database, job_id: str) -> Job:
    with rows.session(write=False) as session:
        return session.scalars(select(Job).where(Job.id == job_id)).one()


def log(rows: Database, job_id: str) -> list[tuple[int, str, object]]:
    with rows.session(write=False) as session:
        query = select(Event).where(Event.job_id == job_id).order_by(Event.sequence)
        return [(e.sequence, e.type, e.data.get("state")) for e in session.scalars(query)]


def test_a_waiting_job_pauses_at_once_and_every_change_is_logged(rows: Database) -> None:
    job_id = made(rows)
    for verb in (transitions.pause, transitions.resume, transitions.cancel):
        with rows.session() as session:
            verb(session, job_id)
    states = [(1, "state", "paused"), (2, "state", "queued"), (4, "state", "cancelled")]
    assert log(rows, job_id) == states
    assert row(rows, job_id).finished_at is not None


def test_a_running_job_is_pausing_until_its_worker_has_saved(rows: Database) -> None:
    job_id = made(rows, state=JobState.RUNNING)
    with rows.session() as session:
        transitions.pause(session, job_id)
    job = row(rows, job_id)
    assert (job.state, job.state_reason) == (JobState.PAUSING, "paused on request")
    with rows.session() as session, pytest.raises(Conflict, match="it can be cancelled"):
        transitions.resume(session, job_id)


def test_what_is_refused_leaves_no_entry(rows: Database) -> None:
    job_id = made(rows)
    with pytest.raises(Conflict), rows.session() as session:
        transitions.resume(session, job_id)
    assert log(rows, job_id) == []


def test_an_unknown_job_cannot_be_moved(rows: Database) -> None:
    with pytest.raises(NotFound), rows.session() as session:
        transitions.cancel(session, "job_0")


@pytest.mark.parametrize("state", TERMINAL)
def test_the_database_itself_lets_no_job_come_back(state: JobState, rows: Database) -> None:
    job_id = made(rows, state=state)
    others = set(JobState) - {state}
    for other in others:
        statement = update(Job).where(Job.id == job_id).values(state=other)
        with pytest.raises(exc.IntegrityError), rows.session() as session:
            session.execute(statement)
    assert row(rows, job_id).state == state
    with rows.session() as session:  # everything else may be said of it
        session.execute(update(Job).where(Job.id == job_id).values(state=state, name="another"))
    assert row(rows, job_id).name == "another"
