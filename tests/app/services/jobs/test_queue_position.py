"""Where jobs stand in the queue."""

import random

from sqlalchemy import event, select, update

from app.database.session import Database
from app.services.jobs.queue_position import queue_places
from app.tables import Job
from tests.app.database.test_session import Tenants, new_job


def test_a_page_of_places_is_read_at_once_and_each_is_that_of_the_job_alone(
    rows: Database, tenants: Tenants
) -> None:
    drawn = random.Random(0)
    for tenant in tenants:
        with rows.session(tenant) as session:
            for _ in range(60):
                state = drawn.choice(["queued", "queued", "running", "paused"])
                session.add(new_job(priority=drawn.randrange(3), state=state))
    with rows.session(tenants[0], write=False) as session:
        jobs = list(session.scalars(select(Job).where(Job.state == "queued")))
        in_order = sorted(jobs, key=lambda job: (-job.priority, job.id))
        drawn.shuffle(jobs)
        asked: list[object] = []
        event.listen(session, "do_orm_execute", lambda state: asked.append(state.statement))
        places = queue_places(session, jobs)
        queries = len(asked)
        assert {job.id: places[job.id].position for job in in_order} == {
            job.id: n for n, job in enumerate(in_order, start=1)
        }
        for job in jobs:
            assert queue_places(session, [job]) == {job.id: places[job.id]}
        assert len(asked) == queries * (1 + len(jobs))
        assert queue_places(session, []) == {}


def test_a_job_that_is_claimed_while_its_place_is_asked_for_stood_at_the_head(
    rows: Database, tenants: Tenants
) -> None:
    with rows.session(tenants[0]) as session:
        session.add_all([new_job(), new_job()])
    with rows.session(tenants[0], write=False) as session:
        jobs = list(session.scalars(select(Job).order_by(Job.id)))
    with rows.session(tenants[0]) as session:
        session.execute(update(Job).where(Job.id == jobs[0].id).values(state="running"))
    with rows.session(tenants[0], write=False) as session:
        places = queue_places(session, jobs)
    assert [places[job.id].position for job in jobs] == [1, 1]
