"""What a tenant may have, and no more however many ask at the same time."""

import threading

import pytest
from sqlalchemy import update

from app.config import Quotas
from app.database.session import Database
from app.errors import QuotaExceeded
from app.ids import new_id
from app.services.jobs.submission import enqueue
from app.services.tenancy import quotas
from app.tables import Checkpoint, Job, JobState
from tests.app.database.test_session import Tenants, new_job


def limited(rows: Database, **limits: int) -> Database:
    """The same database, as the API knows it."""
    most = {"queued_jobs": 10**6, "running_jobs": 10**6, "stored_bytes": 10**12, **limits}
    return Database(rows.engine.url.render_as_string(hide_password=False), quotas=Quotas(**most))


def queued(database: Database, tenant: str, count: int = 1) -> None:
    with database.session(tenant) as session:
        enqueue(session, [new_job(id=new_id("job")) for _ in range(count)], None)


def test_queued_jobs_are_limited_for_each_tenant(rows: Database, tenants: Tenants) -> None:
    database = limited(rows, queued_jobs=3)
    queued(database, tenants[0], 2)
    with pytest.raises(QuotaExceeded, match=r"3 queued jobs.*2 wait and 2 would be added"):
        queued(database, tenants[0], 2)
    queued(database, tenants[0])
    queued(database, tenants[1], 3)
    with rows.session() as session:  # one of them begins
        first = session.scalars(
            Job.__table__.select().with_only_columns(Job.id).where(Job.tenant_id == tenants[0])
        ).first()
        session.execute(
            update(Job).where(Job.id == first).values(state=JobState.RUNNING, worker=Job.id)
        )
    queued(database, tenants[0])
    database.dispose()


def test_those_who_ask_at_once_get_no_more(rows: Database, tenants: Tenants) -> None:
    database = limited(rows, queued_jobs=5)
    refused: list[QuotaExceeded] = []
    together = threading.Barrier(12)

    def ask() -> None:
        together.wait()
        try:
            queued(database, tenants[1])
        except QuotaExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.session(tenants[1], write=False) as session:
        assert quotas.waiting(session) == 5
    assert len(refused) == 7
    database.dispose()


def test_bytes_are_limited(rows: Database, tenants: Tenants) -> None:
    database = limited(rows, stored_bytes=1000)
    with rows.session(tenants[0]) as session:
        job = new_job(id="job_big")
        session.add(job)
        session.flush()
        values = {"iteration": 1, "location": "x", "sha256": "x"}
        session.add(Checkpoint(id="ckpt_a", job_id=job.id, size=900, **values))
    with database.session(tenants[0]) as session:
        assert quotas.stored(session) == 900
        quotas.keep(session, 100)
        with pytest.raises(QuotaExceeded, match=r"1000 bytes.*900 are kept"):
            quotas.keep(session, 101)
    with rows.session(tenants[0]) as session:
        session.execute(update(Checkpoint).values(size=1000))
    with pytest.raises(QuotaExceeded, match="delete jobs or data sets"):
        queued(database, tenants[0])
    queued(database, tenants[1])
    database.dispose()


def test_the_services_own_work_has_no_limit(rows: Database, tenants: Tenants) -> None:
    queued(rows, tenants[0], 50)


def test_two_claims_at_once_run_no_more_than_the_limit(rows: Database, tenants: Tenants) -> None:
    """Each has taken a job of its own when it looks how many there are."""
    for n in range(2):
        with rows.session(tenants[0]) as session:
            session.add(new_job(id=f"job_{n}"))
    taken, refused = threading.Event(), list[int]()

    def claim(n: int) -> None:
        with rows.session() as session:
            named = update(Job).where(Job.id == f"job_{n}")
            session.execute(named.values(state=JobState.RUNNING, worker=Job.id))
            taken.set()
            quotas.claimed(session, session.get_one(Job, f"job_{n}"), most=1)

    def attempt(n: int) -> None:
        try:
            claim(n)
        except quotas.Beyond:  # either may be the first to count
            refused.append(n)

    def second() -> None:
        taken.wait()
        attempt(1)

    other = threading.Thread(target=second)
    other.start()
    attempt(0)
    other.join()
    assert len(refused) == 1
    with rows.session(write=False) as session:
        assert quotas.held(session, tenants[0]) == 1
