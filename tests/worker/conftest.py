"""A tenant with jobs, in a fresh database of each kind."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.database.base import db_now
from app.database.session import Database
from app.ids import new_id
from app.storage import Storage
from app.tables import Job, Tenant
from tests.service import Service
from tests.specifications import ONE_WEIGHT
from tests.worker.watch import Jobs
from training.validation.check import check
from worker.process.worker_process import WorkerProcess

MakeJob = Callable[..., str]


@pytest.fixture
def rows(database_url: str) -> Iterator[Database]:
    """The database, without any service on it."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def child(rows: Database, database_url: str, tmp_path: Path) -> WorkerProcess:
    """What a worker process works with, here in the test's own."""
    settings = Settings(
        home=tmp_path, database_url=database_url, lease_seconds=20, max_running_jobs=100
    )
    return WorkerProcess(new_id("wrk"), settings, rows, Storage(settings.storage), "cpu")


@pytest.fixture
def jobs(service: Service) -> Iterator[Jobs]:
    """The jobs of the shared service."""
    with closing(Jobs(service)) as made:
        yield made


@pytest.fixture
def make_job(rows: Database) -> MakeJob:
    """Queues a job; keywords are columns. ``tenant`` is a name."""

    def make(tenant: str = "default", **columns: object) -> str:
        job_id, plan = new_id("job"), check(ONE_WEIGHT)
        with rows.session() as session:
            owner = session.scalar(select(Tenant).where(Tenant.name == tenant))
            if owner is None:
                owner = Tenant(id=new_id("tnt"), name=tenant)
                session.add(owner)
                session.flush()
            values: dict[str, object] = {
                "id": job_id,
                "tenant_id": owner.id,
                "name": job_id,
                "spec": plan.spec.model_dump(mode="json"),
                "labels": {},
                "priority": 0,
                "device_wanted": "auto",
                "iterations": plan.iterations,
                "series": ["loss"],
                "request_id": "req_test",
            }
            session.add(Job(**(values | columns)))
        return job_id

    return make


@pytest.fixture
def job_row(rows: Database) -> Callable[[str], Job]:
    """Reads a job."""

    def read(job_id: str) -> Job:
        with rows.session(write=False) as session:
            return session.scalars(select(Job).where(Job.id == job_id)).one()

    return read


@pytest.fixture
def expire(rows: Database) -> Callable[[str], None]:
    """Lets a lease run out."""

    def make(job_id: str) -> None:
        with rows.session() as session:
            session.execute(
                update(Job).where(Job.id == job_id).values(lease_expires_at=db_now(-1.0))
            )

    return make
