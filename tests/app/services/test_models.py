"""Names and versions."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from app.database.session import Database
from app.errors import Conflict, NotFound
from app.services import models
from app.storage import Stored
from app.tables import Job, Model, ModelVersion
from tests.app.database.test_session import Tenants, new_job


def leave(rows: Database, tenant_id: str, job_id: str, name: str = "m") -> int:
    """A job of that name leaves a model; its version."""
    with rows.session() as session:
        job = new_job(id=job_id, name=name, tenant_id=tenant_id)
        session.add(job)
        session.flush()
        return models.add_version(session, job, Stored(job_id, "sha", 1)).version


def test_versions_count_from_one_for_every_name_and_tenant(
    rows: Database, tenants: Tenants
) -> None:
    assert [leave(rows, tenants[0], f"job_{n}") for n in range(3)] == [1, 2, 3]
    assert leave(rows, tenants[0], "job_other", name="other") == 1
    assert leave(rows, tenants[1], "job_theirs") == 1


def test_jobs_of_one_name_that_end_together_leave_distinct_versions(
    rows: Database, tenants: Tenants
) -> None:
    with ThreadPoolExecutor(6) as pool:
        ids = [f"job_{n}" for n in range(12)]
        versions = list(pool.map(lambda job_id: leave(rows, tenants[0], job_id), ids))
    assert sorted(versions) == list(range(1, 13))
    with rows.session(write=False) as session:
        assert len(session.scalars(select(Model)).all()) == 1


def test_the_newest_is_found_unless_a_version_is_named(rows: Database, tenants: Tenants) -> None:
    for n in range(3):
        leave(rows, tenants[0], f"job_{n}")
    with rows.session(tenants[0], write=False) as session:
        assert models.find(session, "m").job_id == "job_2"
        assert models.find(session, "m", 1).job_id == "job_0"
        with pytest.raises(NotFound, match="there is no model m version 4"):
            models.find(session, "m", 4)


def test_the_model_of_a_job_is_its_own(rows: Database, tenants: Tenants) -> None:
    for n in range(2):
        leave(rows, tenants[0], f"job_{n}")
    with rows.session(tenants[0]) as session:
        assert models.of_job(session, session.get_one(Job, "job_0")).version == 1
        without = new_job(id="job_without", state="failed")
        session.add(without)
        session.flush()
        with pytest.raises(Conflict, match="the job has no model: it is failed"):
            models.of_job(session, without)


def test_a_model_of_another_tenant_is_not_found(rows: Database, tenants: Tenants) -> None:
    leave(rows, tenants[0], "job_0")
    with rows.session(tenants[1], write=False) as session:
        with pytest.raises(NotFound):
            models.find(session, "m")
        assert list(session.scalars(select(ModelVersion))) == []
