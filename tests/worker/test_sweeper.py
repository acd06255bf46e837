"""The sweeper: what is requeued, what is not yet, and what kills its workers."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from sqlalchemy import update

from app.db import Database
from app.tables import Job, JobState, Worker
from tests.worker.conftest import MakeJob
from worker.child import Child
from worker.job import claim_next
from worker.process import place
from worker.supervisor import Supervisor
from worker.sweeper import Sweeper, requeue

ReadJob = Callable[[str], Job]


@pytest.fixture
def sweeper(child: Child) -> Sweeper:
    """One that has seen the database answer for longer than any lease."""
    made = Sweeper(child.settings, child.database)
    made.answering_since = time.monotonic() - 1000
    return made


def test_an_expired_lease_puts_the_job_back_and_raises_the_fence(
    sweeper: Sweeper,
    child: Child,
    make_job: MakeJob,
    job_row: ReadJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    expire(job_id)
    sweeper.expire()
    row = job_row(job_id)
    assert (row.state, row.fence, row.deaths) == (JobState.QUEUED, 2, 1)
    assert row.state_reason == "its lease expired"


def test_a_valid_lease_is_left_alone(
    sweeper: Sweeper, child: Child, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    claim_next(child)
    sweeper.expire()
    assert job_row(job_id).state == JobState.RUNNING


def test_nothing_expires_before_the_database_answered_for_a_whole_lease(
    sweeper: Sweeper,
    child: Child,
    make_job: MakeJob,
    job_row: ReadJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    expire(job_id)
    sweeper.blind()
    sweeper.expire()
    assert job_row(job_id).state == JobState.RUNNING


def test_who_stood_still_has_not_seen_the_database_answer(
    sweeper: Sweeper,
    child: Child,
    make_job: MakeJob,
    job_row: ReadJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    expire(job_id)
    sweeper.looked_at -= child.settings.lease_seconds  # the process was stopped meanwhile
    sweeper.expire()
    assert job_row(job_id).state == JobState.RUNNING


def test_a_worker_is_not_killed_for_a_lease_that_ran_out_while_the_database_was_away(
    child: Child, make_job: MakeJob, expire: Callable[[str], None]
) -> None:
    supervisor = Supervisor(child.settings)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        job_id = make_job()
        claim_next(child)
        expire(job_id)
        with child.database.session() as session:
            here = {"place": place(), "pid": process.pid, "pool": "training", "device": "cpu"}
            session.add(Worker(id=child.id, supervisor=supervisor.id, **here))
        supervisor.sweeper.blind()
        supervisor.kill_the_hung()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        supervisor.sweeper.answering_since = time.monotonic() - 1000
        supervisor.kill_the_hung()
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
        supervisor.database.dispose()


def died(rows: Database, child: Child, job_id: str, iteration: int) -> None:
    """An attempt that came to ``iteration`` and died there."""
    claim_next(child)
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(attempt_iteration=iteration))
    with rows.session() as session:
        requeue(session, Job.id == job_id, reason="its worker died")


def test_two_deaths_at_the_same_iteration_end_the_job(
    rows: Database, child: Child, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    for _ in range(2):
        died(rows, child, job_id, 40)
    row = job_row(job_id)
    assert row.state == JobState.FAILED
    assert row.finished_at is not None
    assert row.error is not None
    assert (row.error["category"], row.error["code"]) == ("resource", "out_of_memory_suspected")
    assert row.error["iteration"] == 40


def test_deaths_with_progress_between_them_do_not(
    rows: Database, child: Child, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    for iteration in (40, 41, 40, 80):
        died(rows, child, job_id, iteration)
    assert job_row(job_id).state == JobState.QUEUED
