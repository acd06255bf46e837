"""Whose job is next, held against a rule that looks at every job."""

import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Select, select, text, update

from app.database.session import Database
from app.services.jobs import fair_order
from app.services.jobs.fair_order import next_job
from app.tables import Job, JobState, Tenant
from tests.app.database.test_session import new_job

MOST = 2


def fill(rows: Database, rng: random.Random, tenants: int, jobs: int) -> None:
    """A queue in which some already run."""
    names = [f"tnt_{n}" for n in range(tenants)]
    with rows.session() as session:
        session.add_all(Tenant(id=name, name=name) for name in names)
        session.flush()
        session.add_all(
            new_job(
                id=f"job_{n:03}",
                tenant_id=rng.choice(names),
                priority=rng.choice([0, 0, 0, 5]),
                device_wanted=rng.choice(["auto", "cpu", "cuda"]),
                state=rng.choice([JobState.QUEUED] * 12 + [JobState.PAUSING, JobState.SUCCEEDED]),
                worker=f"wrk_{n % 5}",
            )
            for n in range(jobs)
        )


def by_the_rule(rows: Database) -> str | None:
    """The next job for a CPU, found the long way."""
    with rows.session(write=False) as session:
        jobs = session.scalars(select(Job)).all()
    held = {(j.tenant_id, j.worker) for j in jobs if j.state in ("running", "pausing")}
    running = Counter(tenant_id for tenant_id, _ in held)
    waiting = [
        (-job.priority, running[job.tenant_id], job.id)
        for job in jobs
        if job.state == "queued"
        and job.device_wanted in ("auto", "cpu")
        and running[job.tenant_id] < MOST
    ]
    return min(waiting)[2] if waiting else None


def take(rows: Database, most: int = MOST) -> str | None:
    """The next job, which runs from now on."""
    with rows.session() as session:
        found = next_job(session, "cpu", most)
        run = update(Job).where(Job.id == found).values(state=JobState.RUNNING, worker=Job.id)
        session.execute(run)
    return found


@pytest.mark.parametrize("front", [200, 3])
@pytest.mark.parametrize("seed", range(4))
def test_priority_then_the_tenant_that_runs_the_fewest_then_age(
    seed: int, front: int, rows: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fair_order, "FRONT_JOB_COUNT", front)
    monkeypatch.setattr(fair_order, "OF_AN_IDLE_TENANT", fair_order.of_an_idle_tenant())
    fill(rows, random.Random(seed), tenants=6, jobs=60)
    taken = 0
    while (expected := by_the_rule(rows)) is not None:
        assert take(rows) == expected
        taken += 1
        if taken % 3:  # it ends, or goes on beside the next
            with rows.session() as session:
                ends = update(Job).where(Job.id == expected).values(state=JobState.SUCCEEDED)
                session.execute(ends)
    assert take(rows) is None
    assert taken > 5


def test_a_job_that_somebody_is_just_claiming_is_not_waited_for(rows: Database) -> None:
    """The next best is taken, be it of lower priority. SQLite lets one after the other claim."""
    with rows.session() as session:
        session.add(Tenant(id="tnt_a", name="a"))
        session.flush()
        for name, priority in {"job_1": 5, "job_2": 5, "job_3": 0}.items():
            session.add(new_job(id=name, tenant_id="tnt_a", priority=priority))
    if rows.file is None:
        with rows.session() as one, rows.session() as two, rows.session() as three:
            found = [next_job(session, "cpu", MOST) for session in (one, two, three)]
    else:
        found = [take(rows, most=10) for _ in range(3)]
    assert found == ["job_1", "job_2", "job_3"]


def test_nothing_is_looked_for_outside_of_a_stretch_of_an_index(rows: Database) -> None:
    """In a table that has seen many more jobs than wait now, as a service's has."""
    fill(rows, random.Random(0), tenants=20, jobs=2000)
    over = update(Job).where(Job.id < "job_8").values(state=JobState.SUCCEEDED)
    with rows.session() as session:
        session.execute(over)
        if rows.file is None:  # autovacuum does so; SQLite plans without statistics
            session.execute(text("ANALYZE"))
    for statement in (fair_order.FIRST_LANES, fair_order.OF_AN_IDLE_TENANT):
        for step in looks(rows, statement.params(device="cpu", most=MOST)):
            assert "ix_jobs_queue" in step or "ix_jobs_lanes" in step
            assert "SCAN" not in step.split()  # of a whole index


def looks(rows: Database, statement: Select[Any]) -> list[str]:
    """The steps of a plan that look into the jobs."""
    explain = "EXPLAIN" if rows.file is None else "EXPLAIN QUERY PLAN"
    sql = statement.compile(rows.engine, compile_kwargs={"literal_binds": True})
    with rows.session(write=False) as session:
        plan = [row[-1] for row in session.execute(text(f"{explain} {sql}"))]
    found = [step for step in plan if " jobs" in step and "Key" not in step]
    assert found
    return found
