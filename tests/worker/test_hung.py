"""Children that do not run, and do not die by themselves either."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest
from sqlalchemy import select

from app.tables import Task, TaskState, Worker
from tests.app.talk import Document
from tests.servers import eventually
from tests.service import Service
from tests.specifications import ONE_WEIGHT
from tests.worker.watch import Jobs

LONG = ONE_WEIGHT | {"iterations": 10_000}


@pytest.fixture
def jobs(own_service: Callable[..., Service]) -> Iterator[Jobs]:
    """A service that is soon impatient."""
    times = {"heartbeat_seconds": 1, "lease_seconds": 3, "sweep_seconds": 0.5}
    service = own_service(**times, watchdog_seconds=3, replay_wait_seconds=0.1)
    with closing(Jobs(service)) as made:
        yield made


def answerer(jobs: Jobs) -> psutil.Process:
    """The child that answers questions."""
    with jobs.database.session(write=False) as session:
        query = select(Worker.pid).where(Worker.pool == "interactive")
        return psutil.Process(session.scalars(query).one())


def answered(jobs: Jobs, place: str) -> Document:
    """A task, once it has ended well."""

    def ended() -> Document | None:
        task: Document = jobs.service.http.get(place).json()
        return task if task["finished_at"] else None

    task = eventually(ended, "the answer", within=90, every=0.1) or {}
    assert task["state"] == "succeeded", task
    return task


def test_a_child_that_hangs_is_killed_and_its_question_asked_again(jobs: Jobs) -> None:
    job_id = jobs.post(LONG)
    jobs.ended(job_id)

    child = answerer(jobs)
    place = jobs.service.http.post(f"/v1/jobs/{job_id}/verify").headers["Location"]
    eventually(lambda: in_hand(jobs), "the question is taken", every=0.001)
    child.send_signal(signal.SIGSTOP)
    assert in_hand(jobs), "it was answered before it could be stopped"
    assert answered(jobs, place)["result"]["verified"]
    assert not child.is_running()

    child = answerer(jobs)
    child.send_signal(signal.SIGSTOP)  # before it has a question, of which no lease could tell
    place = jobs.service.http.get(f"/v1/jobs/{job_id}/iterations/3").headers["Location"]
    assert answered(jobs, place)["result"]["iteration"] == 3
    assert not child.is_running()


def in_hand(jobs: Jobs) -> bool:
    """Whether a question is being answered."""
    with jobs.database.session(write=False) as session:
        query = select(Task.id).where(Task.state == TaskState.RUNNING)
        return session.scalar(query) is not None
