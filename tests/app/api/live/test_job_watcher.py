"""Who watches is woken by a hint; by a look now and then where it was lost; by many without Redis.

In most of these tests the looks that do without hints are so rare that they cannot be what wakes.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, select, update

from app.api.live import job_watcher
from app.api.live.job_watcher import GATHER_SECONDS, POLL_SECONDS, JobWatcher, Subscription
from app.database.session import Database
from app.hints import reliance
from app.hints.message import Counters
from app.hints.publisher import publisher
from app.hints.subscriber import Subscriber
from app.services.jobs import event_log, submission
from app.services.jobs.revision import JobRevision
from app.tables import ApiKey, Job
from tests.servers import Redis
from tests.specifications import ONE_WEIGHT
from training.validation.check import check

PLAN = check(ONE_WEIGHT)
RARELY = 3600.0
SOON = 10.0
"""Seconds, on a machine that has much else to do."""


@pytest.fixture
def job_ids(rows: Database, broker: Redis, tenants: tuple[str, str]) -> list[str]:
    """Of three jobs that wait."""
    with rows.session(tenants[0]) as session:
        return [submission.create(session, PLAN, "req_test").id for _ in range(3)]


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at all jobs, while hints come."""
    monkeypatch.setattr(job_watcher, "HINTED_TICK_SECONDS", RARELY)


@asynccontextmanager
async def watching(rows: Database, broker: Redis) -> AsyncIterator[JobWatcher]:
    """A process's watch, at work."""
    made = JobWatcher(rows, 100, Subscriber(broker.url))
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def relying(
    rows: Database, broker: Redis, *job_ids: str
) -> AsyncIterator[list[Subscription]]:
    """One who watches each job; they rely on hints, and have seen each job once."""
    async with watching(rows, broker) as made:
        with rows.session(write=False) as session:
            key_id = session.scalars(select(ApiKey.id).limit(1)).one()
        with ExitStack() as stack:
            watchers = [stack.enter_context(made.watching(job_id, key_id)) for job_id in job_ids]
            # No look is under way then: the moment of one that is counts only when it has ended.
            await until(lambda: made.relied and made.all_seen_at and watchers[-1].glance)
            yield watchers


async def until(condition: Callable[[], Any]) -> float:
    """Waits; how many seconds it took."""
    began = time.monotonic()
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.002)
    return time.monotonic() - began


async def seen(watcher: Subscription, met: Callable[[JobRevision], bool]) -> float:
    """As a request waits; how many seconds it took."""
    began = time.monotonic()
    await watcher.until(met, SOON)
    assert watcher.glance is not None
    assert met(watcher.glance), watcher.glance
    return time.monotonic() - began


async def happened(rows: Database, *job_ids: str) -> None:
    """An entry in the log of each, in one transaction, which tells of it."""

    def commit() -> None:
        with rows.session() as session:
            for job_id in job_ids:
                event_log.record(session, job_id, "note", {})

    await asyncio.to_thread(commit)


async def untold(rows: Database, job_id: str, iteration: int) -> None:
    """New losses that no hint tells of, as when it is lost."""

    def commit() -> None:
        with rows.session() as session:
            session.execute(update(Job).where(Job.id == job_id).values(iteration=iteration))

    await asyncio.to_thread(commit)


@contextmanager
def looks(rows: Database) -> Iterator[list[str]]:
    """The looks at jobs meanwhile, as SQL."""
    found = list[str]()

    def asked(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT jobs.id, jobs.state, jobs.iteration, jobs.events"):
            found.append(statement)

    event.listen(rows.engine, "before_cursor_execute", asked)
    try:
        yield found
    finally:
        event.remove(rows.engine, "before_cursor_execute", asked)


def test_a_hint_wakes_long_before_the_next_look_would(
    rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, other, _):
            for count in range(2, 6):
                await happened(rows, job_ids[0])
                await seen(one, lambda glance, n=count: glance.events == n)  # type: ignore[misc]
            assert other.glance == ("queued", 0, 1)

    asyncio.run(watch_them())


def test_a_job_that_is_gone_is_told_too(
    rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    def remove() -> None:
        with rows.session() as session:
            session.execute(delete(Job).where(Job.id == job_ids[0]))
        publisher().put({job_ids[0]: None})

    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, *_):
            await asyncio.to_thread(remove)
            await until(lambda: one.over)

    asyncio.run(watch_them())


def test_a_burst_of_hints_is_a_few_looks_and_all_of_it_is_seen(
    rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as watchers:
            with looks(rows) as found:
                began = time.monotonic()
                for number in range(1, 101):
                    await untold(rows, job_ids[number % 3], number)
                    # More than there are changes, and one of a job that nobody watches.
                    for job_id in (*job_ids, "job_unknown"):
                        publisher().put({job_id: Counters(number)})
                reached = [99, 100, 98]
                await until(
                    lambda: [each.counters.iteration for each in seen_of(watchers)] == reached
                )
                took = time.monotonic() - began
            assert len(found) <= took / GATHER_SECONDS + 2

    asyncio.run(watch_them())


def seen_of(watchers: list[Subscription]) -> list[job_watcher.WatchedJob]:
    return [each.watched for each in watchers]


def test_hints_of_what_was_seen_and_of_jobs_that_nobody_watches_cost_no_look(
    rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids[:2]) as (one, *_):
            with looks(rows) as found:
                for _ in range(50):
                    publisher().put({job_ids[0]: Counters(0, 1), job_ids[2]: Counters(9, 9)})
                await happened(rows, job_ids[0])
                await seen(one, lambda glance: glance.events == 2)
            assert len(found) == 1

    asyncio.run(watch_them())


def test_one_look_serves_all_who_watch_a_job(
    rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids[:1] * 50) as watchers:
            with looks(rows) as found:
                await happened(rows, job_ids[0])
                await asyncio.gather(*(seen(w, lambda g: g.events == 2) for w in watchers))
            assert len(found) == 1

    asyncio.run(watch_them())


def test_what_no_hint_tells_of_is_seen_within_a_second_or_so_and_looks_are_often_for_a_while(
    rows: Database, broker: Redis, job_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reliance, "DISTRUST_SECONDS", 1.0)

    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, *_):
            await untold(rows, job_ids[0], 1)
            assert await seen(one, lambda glance: glance.iteration == 1) < SOON / 2
            await until(lambda: not one.watch.relied)
            monkeypatch.setattr(job_watcher, "HINTED_TICK_SECONDS", RARELY)
            await untold(rows, job_ids[0], 2)
            await seen(one, lambda glance: glance.iteration == 2)
            await until(lambda: one.watch.relied)

    asyncio.run(watch_them())


def test_hints_that_come_keep_being_relied_on(
    rows: Database, broker: Redis, job_ids: list[str]
) -> None:
    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, *_):
            for count in range(2, 32):
                await happened(rows, job_ids[0])
                await seen(one, lambda glance, n=count: glance.events == n)  # type: ignore[misc]
                await asyncio.sleep(0.05)
                assert one.watch.relied

    asyncio.run(watch_them())


def test_a_hint_that_comes_after_the_look_is_not_missed(
    rows: Database, broker: Redis, job_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_watcher, "HINTED_TICK_SECONDS", POLL_SECONDS)

    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, *_):
            await untold(rows, job_ids[0], 1)
            await seen(one, lambda glance: glance.iteration == 1)
            assert one.watch.reliance.expected
            publisher().put({job_ids[0]: Counters(1)})
            await until(lambda: not one.watch.reliance.expected)
            assert one.watch.relied
            await asyncio.sleep(reliance.GRACE_SECONDS + 2 * POLL_SECONDS)
            assert one.watch.relied

    asyncio.run(watch_them())


@pytest.mark.parametrize("how", ["killed", "stopped", "cut"])
def test_without_redis_looks_are_often_and_with_it_hints_come_again(
    how: str, rows: Database, broker: Redis, job_ids: list[str], rarely: None
) -> None:
    def away() -> None:
        if how == "killed":
            broker.process.kill()
        elif how == "stopped":
            broker.process.signal(signal.SIGSTOP)
        else:
            with broker.client() as client:
                client.client_kill_filter(_type="pubsub")

    def back() -> None:
        if how == "killed":
            broker.start()
        elif how == "stopped":
            broker.process.signal(signal.SIGCONT)

    async def watch_them() -> None:
        async with relying(rows, broker, *job_ids) as (one, other, third):
            away()
            # Told to nobody, and at the very moment.
            await untold(rows, job_ids[0], 1)
            await seen(one, lambda glance: glance.iteration == 1)
            if how != "cut":
                await until(lambda: not one.watch.relied)
                with looks(rows) as found:
                    await until(lambda: len(found) == 10)
                await untold(rows, job_ids[1], 1)
                assert await seen(other, lambda glance: glance.iteration == 1) < SOON / 2
            back()
            await until(lambda: one.watch.relied)
            await asyncio.sleep(2 * POLL_SECONDS)
            with looks(rows) as found:
                await happened(rows, job_ids[2])
                await seen(third, lambda glance: glance.events == 2)
            assert len(found) <= 2  # by a hint, not by looking again and again

    try:
        asyncio.run(watch_them())
    finally:
        if how == "stopped":
            back()  # or it could not be ended
