"""The sweeper: what is requeued, what is not yet, and what kills its workers."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from app import broker as queue
from app.database.base import db_now
from app.database.session import Database
from app.ids import new_id
from app.tables import Job, JobState, Task, TaskState, Tenant, Worker
from tests.servers import Redis
from tests.worker.conftest import MakeJob
from worker.maintenance.sweeper import Sweeper
from worker.process.os_process import place
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_next
from worker.queue.fence import claim, oldest_queued
from worker.queue.requeue import requeue, requeue_tasks
from worker.supervision.supervisor import Supervisor

ReadJob = Callable[[str], Job]


@pytest.fixture
def sweeper(child: WorkerProcess) -> Sweeper:
    """One that has seen the database answer for longer than any lease."""
    made = Sweeper(child.settings, child.database)
    made.answering_since = time.monotonic() - 1000
    return made


def test_an_expired_lease_puts_the_job_back_and_raises_the_fence(
    sweeper: Sweeper,
    child: WorkerProcess,
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
    sweeper: Sweeper, child: WorkerProcess, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    claim_next(child)
    sweeper.expire()
    assert job_row(job_id).state == JobState.RUNNING


def test_nothing_expires_before_the_database_answered_for_a_whole_lease(
    sweeper: Sweeper,
    child: WorkerProcess,
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
    child: WorkerProcess,
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


def test_who_is_looked_after_is_left_to_that_for_a_lease_more(
    sweeper: Sweeper,
    child: WorkerProcess,
    rows: Database,
    make_job: MakeJob,
    job_row: ReadJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    enter(child, supervisor="sup_other", pid=1)
    expire(job_id)
    sweeper.expire()
    assert job_row(job_id).state == JobState.RUNNING
    with rows.session() as session:
        long_ago = db_now(-child.settings.lease_seconds - 1)
        session.execute(update(Job).values(lease_expires_at=long_ago))
    sweeper.expire()
    assert job_row(job_id).state == JobState.QUEUED


def enter(child: WorkerProcess, supervisor: str, pid: int) -> None:
    """The worker is known, and was seen just now."""
    here = {"place": place(), "pid": pid, "pool": "training", "device": "cpu"}
    with child.database.session() as session:
        session.add(Worker(id=child.id, supervisor=supervisor, **here))


@pytest.fixture
def supervisor(child: WorkerProcess) -> Iterator[Supervisor]:
    made = Supervisor(child.settings)
    made.sweeper.answering_since = time.monotonic() - 1000
    yield made
    made.database.dispose()


@pytest.fixture
def asleep() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def lives_on(process: subprocess.Popen[bytes]) -> bool:
    """Nobody kills it."""
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    return True


def test_a_worker_is_not_killed_for_a_lease_that_ran_out_while_the_database_was_away(
    supervisor: Supervisor,
    asleep: subprocess.Popen[bytes],
    child: WorkerProcess,
    make_job: MakeJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    expire(job_id)
    enter(child, supervisor.id, asleep.pid)
    supervisor.sweeper.blind()
    supervisor.kill_the_hung()
    assert lives_on(asleep)
    supervisor.sweeper.answering_since = time.monotonic() - 1000
    supervisor.kill_the_hung()
    assert asleep.wait(10) == -signal.SIGKILL


def test_a_worker_is_not_killed_while_its_lease_holds_nor_by_another_supervisor(
    supervisor: Supervisor,
    asleep: subprocess.Popen[bytes],
    child: WorkerProcess,
    make_job: MakeJob,
    expire: Callable[[str], None],
) -> None:
    job_id = make_job()
    claim_next(child)
    enter(child, supervisor.id, asleep.pid)
    supervisor.kill_the_hung()
    assert lives_on(asleep)
    with child.database.session() as session:
        session.execute(update(Worker).values(supervisor="sup_other"))
    expire(job_id)
    supervisor.kill_the_hung()
    assert lives_on(asleep)


@pytest.fixture
def ask(rows: Database, make_job: MakeJob) -> Callable[..., str]:
    """A question; keywords are columns."""

    def make(**columns: Any) -> str:
        job_id, task_id = make_job(state=JobState.SUCCEEDED), new_id("task")
        with rows.session() as session:
            tenant_id = session.scalars(select(Tenant.id)).one()
            asked = {"arguments": {"kind": "verification"}, "request_id": "req_test"}
            whose = {"id": task_id, "job_id": job_id, "tenant_id": tenant_id}
            session.add(Task(**whose, **asked, **columns))
        return task_id

    return make


def test_a_worker_is_not_killed_for_a_question_that_it_has_answered(
    supervisor: Supervisor,
    asleep: subprocess.Popen[bytes],
    child: WorkerProcess,
    ask: Callable[..., str],
) -> None:
    ask(state=TaskState.SUCCEEDED, worker=child.id, lease_expires_at=db_now(-1.0))
    enter(child, supervisor.id, asleep.pid)
    supervisor.kill_the_hung()
    assert lives_on(asleep)


def test_a_question_whose_worker_died_is_asked_again_once(
    rows: Database, ask: Callable[..., str]
) -> None:
    task_id, seen = ask(), []
    for _ in range(2):
        with rows.session() as session:
            claim(session, Task, oldest_queued(session, Task), "wrk_x", 20.0)
        with rows.session() as session:
            assert requeue_tasks(session, Task.worker == "wrk_x") == 1
            task = session.get_one(Task, task_id)
            seen.append((task.state, task.error and task.error["code"]))
    assert seen == [(TaskState.QUEUED, None), (TaskState.FAILED, "worker_lost")]


def test_what_is_old_is_forgotten_and_nothing_else(
    sweeper: Sweeper, child: WorkerProcess, rows: Database, ask: Callable[..., str]
) -> None:
    old = ask(state=TaskState.SUCCEEDED, finished_at=db_now(-3660.0))
    young, waiting = ask(state=TaskState.SUCCEEDED, finished_at=db_now(-3540.0)), ask()
    enter(child, supervisor="sup_other", pid=1)
    for age, workers in ((-3540.0, 1), (-3660.0, 0)):
        with rows.session() as session:
            session.execute(update(Worker).values(seen_at=db_now(age)))
        sweeper.sweep()
        with rows.session(write=False) as session:
            assert len(session.scalars(select(Worker.id)).all()) == workers
            assert {*session.scalars(select(Task.id))} == {young, waiting} != {old}


def test_there_is_a_bell_as_long_as_something_waits_and_not_more_than_that(
    sweeper: Sweeper, make_job: MakeJob, ask: Callable[..., str], broker: Redis
) -> None:
    def bells() -> tuple[int | None, int | None]:
        sweeper.ring()
        sweeper.ring()
        return queue.pending(queue.TRAINING), queue.pending(queue.INTERACTIVE)

    assert bells() == (0, 0)
    make_job()
    assert bells() == (1, 0)
    ask()
    assert bells() == (1, 1)
    with broker.client() as client:
        client.flushall()
    assert bells() == (1, 1)


def died(rows: Database, child: WorkerProcess, job_id: str, iteration: int) -> None:
    """An attempt that came to ``iteration`` and died there."""
    claim_next(child)
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(attempt_iteration=iteration))
    with rows.session() as session:
        requeue(session, Job.id == job_id, reason="its worker died")


def test_two_deaths_at_the_same_iteration_end_the_job(
    rows: Database, child: WorkerProcess, make_job: MakeJob, job_row: ReadJob
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
    rows: Database, child: WorkerProcess, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    for iteration in (40, 41, 40, 80):
        died(rows, child, job_id, iteration)
    assert job_row(job_id).state == JobState.QUEUED
