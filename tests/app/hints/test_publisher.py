"""What is told of a transaction: once, when it is durable, and without anybody waiting for it."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from app.database.session import Database
from app.hints.message import Counters
from app.hints.publisher import MAX_WAITING_COUNT, publisher
from app.redis_connection import TIMEOUT_SECONDS
from app.services.jobs import event_log, interventions, job_repository, submission, transitions
from app.storage import Storage
from app.tables import Job, Task, TaskState
from tests.hints import Heard
from tests.servers import Redis, eventually
from tests.service import ring_at
from tests.specifications import ONE_WEIGHT
from training.validation.check import Limits, check

PLAN = check(ONE_WEIGHT)
Make = Callable[[], str]


@pytest.fixture
def make(rows: Database, tenants: tuple[str, str]) -> Make:
    """Queues a job of the first tenant."""

    def queued() -> str:
        with rows.session(tenants[0]) as session:
            return submission.create(session, PLAN, "req_test").id

    return queued


@pytest.fixture
def heard(broker: Redis) -> Heard:
    return Heard(broker.url)


def happened(rows: Database, *job_ids: str) -> None:
    """An entry more in the log of each, in one transaction."""
    with rows.session() as session:
        for job_id in job_ids:
            event_log.record(session, job_id, "note", {})


def failed(rows: Database, job_id: str) -> None:
    """The same, rolled back."""
    with suppress(ZeroDivisionError), rows.session() as session:
        event_log.record(session, job_id, "note", {})
        raise ZeroDivisionError


def test_a_transaction_that_is_rolled_back_is_told_to_nobody(
    rows: Database, make: Make, heard: Heard
) -> None:
    job_id = make()
    assert heard.next() == {job_id: Counters(0, 1)}
    failed(rows, job_id)
    happened(rows, job_id)
    assert heard.next() == {job_id: Counters(0, 2)}
    assert heard.now() == []


def test_whatever_a_transaction_changes_is_one_hint(
    rows: Database, make: Make, heard: Heard
) -> None:
    ids = [make() for _ in range(3)]
    for job_id in ids:
        assert heard.next() == {job_id: Counters(0, 1)}
    happened(rows, *ids, *ids)
    assert heard.next() == dict.fromkeys(ids, Counters(0, 3))
    assert heard.now() == []


def test_every_change_that_a_client_asks_for_is_told(
    rows: Database, make: Make, heard: Heard, tenants: tuple[str, str], tmp_path: Path
) -> None:
    job_id = make()
    assert heard.next() == {job_id: Counters(0, 1)}
    for number, act in enumerate(
        (transitions.pause, transitions.resume, transitions.cancel), start=2
    ):
        if act is transitions.cancel:
            with rows.session(tenants[0]) as session:
                interventions.change(session, job_id, {"lr": 0.5}, Limits())
            assert heard.next() == {job_id: Counters(0, number)}
        with rows.session(tenants[0]) as session:
            act(session, job_id)
        told = heard.next()[job_id]
        assert told is not None
        assert told.events >= number
    with rows.session(tenants[0]) as session:
        job_repository.delete(session, Storage(tmp_path), job_id)
    assert heard.next() == {job_id: None}
    assert heard.now() == []


def test_a_transaction_that_changes_nothing_one_could_watch_is_no_hint(
    rows: Database, make: Make, heard: Heard
) -> None:
    job_id = make()
    assert heard.next() == {job_id: Counters(0, 1)}
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(priority=3))
        session.execute(update(Task).values(state=TaskState.QUEUED))
        session.execute(delete(Task))
    happened(rows, job_id)
    assert heard.next() == {job_id: Counters(0, 2)}


def test_a_redis_that_stands_still_delays_no_commit(
    rows: Database, make: Make, heard: Heard, broker: Redis
) -> None:
    job_id, commits = make(), 20
    heard.next()
    broker.process.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(commits):
            happened(rows, job_id)
        assert time.monotonic() - began < commits * TIMEOUT_SECONDS
    finally:
        broker.process.signal(signal.SIGCONT)
    eventually(lambda: heard.furthest(job_id) == (0, 1 + commits), "the last of them is told")


def test_of_too_many_that_wait_the_newest_are_told(
    rows: Database, make: Make, heard: Heard, broker: Redis
) -> None:
    job_id = make()
    heard.next()
    broker.process.signal(signal.SIGSTOP)
    try:
        for number in range(3 * MAX_WAITING_COUNT):
            publisher().put({job_id: Counters(number)})
        assert publisher().waiting.qsize() <= MAX_WAITING_COUNT
    finally:
        broker.process.signal(signal.SIGCONT)
    last = 3 * MAX_WAITING_COUNT - 1
    eventually(lambda: heard.furthest(job_id).iteration == last, "the newest is told")
    assert len(heard.now()) <= MAX_WAITING_COUNT + 3  # and those that were just being sent


def test_after_redis_was_restarted_the_next_commit_is_told(
    rows: Database, make: Make, broker: Redis
) -> None:
    job_id = make()
    broker.process.kill()
    broker.start()
    with Heard(broker.url) as heard:
        happened(rows, job_id)
        assert heard.next() == {job_id: Counters(0, 2)}


@pytest.mark.parametrize("url", ["amqp://nobody@127.0.0.1:1//", "redis+socket:///nowhere/at-all"])
def test_where_nothing_can_be_told_everything_else_goes_on(
    url: str, rows: Database, make: Make, monkeypatch: pytest.MonkeyPatch, broker: Redis
) -> None:
    job_id = make()
    ring_at(url, monkeypatch)
    happened(rows, job_id)
    with rows.session(write=False) as session:
        assert job_repository.get(session, job_id).events == 2
