"""One look at the database for all who watch a job through this process.

Whoever waits for a job or streams it registers here, and holds neither a thread nor a connection
meanwhile. While anybody does, a task asks in one query for the few numbers that say whether
something happened, and wakes those whom it concerns: of the jobs that a hint speaks of at once, and
of all jobs every tick, for a hint may be lost. When the database is away nobody is woken. Nothing
is decided here: who is woken reads for himself what there is.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import structlog
from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from app.database.session import Database
from app.errors import Unauthenticated, Unavailable
from app.hints.message import Counters, Hint
from app.hints.reliance import Reliance
from app.hints.subscriber import Subscriber
from app.services.jobs import revision
from app.services.jobs.revision import JobRevision
from app.services.tenancy import keys

T = TypeVar("T")
log = structlog.get_logger()

POLL_SECONDS = 0.1
"""Seconds between two looks at all jobs while hints cannot be relied on."""
HINTED_TICK_SECONDS = 1.0
"""The same while they can."""
GATHER_SECONDS = 0.008
"""Between the beginnings of two looks at jobs that hints speak of; those that come meanwhile are
looked at together."""
RETRY_SECONDS = 1.0
"""Seconds until the next look when the database did not answer."""
KEY_CHECK_SECONDS = 2.0
"""Seconds between two looks at the keys of those who watch: a revoked one ends what it began."""
READER_COUNT = 4
"""Threads, and so connections, for what those who watch read."""


class WatchedJob:
    """A job that somebody watches. ``glance``: what was seen last, ``None`` before the first look;
    ``gone``: there is no such job any more."""

    def __init__(self) -> None:
        self.watchers = 0
        self.glance: JobRevision | None = None
        self.gone = False
        self.news = asyncio.Event()

    @property
    def counters(self) -> Counters:
        """What was seen last, as a hint says it."""
        return Counters(self.glance.iteration, self.glance.events) if self.glance else Counters()

    def seen(self, glance: JobRevision | None) -> None:
        """Tells all who wait, if this is new."""
        if glance != self.glance or glance is None:
            self.glance = glance
            self.gone = glance is None
            self.wake()

    def wake(self) -> None:
        """Lets everybody look who waits now; who waits later waits for the next time."""
        self.news.set()
        self.news = asyncio.Event()


class Subscription:
    """One who watches a job."""

    def __init__(self, watch: "JobWatcher", watched: WatchedJob, key_id: str) -> None:
        self.watch = watch
        self.watched = watched
        self.key_id = key_id

    @property
    def glance(self) -> JobRevision | None:
        """What was seen of the job last."""
        return self.watched.glance

    @property
    def over(self) -> bool:
        """Whether nobody is to be kept here: the job is gone, the key not valid any more, or the
        process about to end."""
        return self.watched.gone or self.key_id in self.watch.refused or self.watch.ending()

    def still_allowed(self) -> None:
        """Raises ``Unauthenticated`` when the key was revoked meanwhile, or has expired."""
        if self.key_id in self.watch.refused:
            raise Unauthenticated("the key is not valid")

    async def news(self, known: JobRevision | None, seconds: float) -> None:
        """Until something else is seen than what is known, the time is up, or it is over."""
        if self.glance in (None, known) and not self.over:
            with anyio.move_on_after(max(0.0, seconds)):
                await self.watched.news.wait()

    async def until(self, met: Callable[[JobRevision], bool], seconds: float) -> None:
        """Until a glance meets a condition, or the time is up."""
        deadline = time.monotonic() + seconds
        known: JobRevision | None = None
        while (left := deadline - time.monotonic()) > 0 and not self.over:
            await self.news(known, left)
            known = self.glance
            if known is not None and met(known):
                return


class JobWatcher:
    """All that is watched through this process; ``most`` may watch at once.

    ``hinted``: jobs of which a hint has come since the last look. ``relied``: whether that look
    relied on hints.
    """

    def __init__(self, database: Database, most: int, subscriber: Subscriber) -> None:
        self.database = database
        self.most = most
        self.subscriber = subscriber
        self.reliance = Reliance(subscriber)
        self.hinted: set[str] = set()
        self.hint_came = asyncio.Event()
        self.relied = False
        self.all_seen_at = 0.0
        self.watchers = 0
        self.jobs: dict[str, WatchedJob] = {}
        self.keys: Counter[str] = Counter()
        self.refused: frozenset[str] = frozenset()
        self.keys_seen_at = 0.0
        self.wanted = asyncio.Event()
        self.readers = CapacityLimiter(READER_COUNT)
        self.ending: Callable[[], bool] = lambda: False

    @contextmanager
    def watching(self, job_id: str, key_id: str) -> Iterator[Subscription]:
        """Takes part in what is seen of a job; raises ``Unavailable`` when too many do."""
        if self.watchers >= self.most:
            raise Unavailable(
                f"{self.most} clients watch jobs here already; try again", code="too_many_watchers"
            )
        if job_id not in self.jobs:
            self.jobs[job_id] = WatchedJob()
            self.look_soon(job_id)
        watched = self.jobs[job_id]
        watched.watchers += 1
        self.watchers += 1
        self.keys[key_id] += 1
        self.wanted.set()
        try:
            yield Subscription(self, watched, key_id)
        finally:
            self.watchers -= 1
            watched.watchers -= 1
            self.keys -= Counter({key_id: 1})
            if not watched.watchers:
                del self.jobs[job_id]
                self.reliance.forget(job_id)
            if not self.jobs:
                self.wanted.clear()

    def look_soon(self, job_id: str) -> None:
        """The next look comes at once, and is also at this job."""
        self.hinted.add(job_id)
        self.hint_came.set()

    def hint(self, hint: Hint) -> None:
        """Something has happened to these jobs: those that are watched are looked at, unless as
        much was seen of them already."""
        for job_id, counters in hint.items():
            if job_id not in self.jobs:
                continue
            if counters is not None:
                self.reliance.hear(job_id, counters)
                if self.jobs[job_id].counters.cover(counters):
                    continue
            self.look_soon(job_id)

    async def run(self) -> None:
        """The task: listens and looks while anybody watches."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.subscriber.run(self.wanted, self.hint))
            tasks.create_task(self.poll())

    async def poll(self) -> None:
        """One look after the other."""
        answers = True
        while True:
            await self.wanted.wait()
            began = time.monotonic()
            try:
                await self.look()
            except Unavailable:
                if answers:
                    log.warning("those who watch wait: the database does not answer")
                answers = False
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # Those who watch would wait for ever for a task that has ended.
                log.exception("a look at the jobs that are watched failed")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                answers = True
            await self.pause(began)

    async def pause(self, began: float) -> None:
        """Until a hint comes, but not at once after the last look, or for a tick."""
        await asyncio.sleep(max(0.0, began + GATHER_SECONDS - time.monotonic()))
        with anyio.move_on_after(max(0.0, began + POLL_SECONDS - time.monotonic())):
            await self.hint_came.wait()
        self.hint_came.clear()

    async def look(self) -> None:
        """Sees the jobs that hints speak of, or all when it is time for that, and looks at the keys
        of those who watch now and then."""
        if self.ending():
            for watched in self.jobs.values():
                watched.wake()
        now = time.monotonic()
        whole = self.all_are_due(now)
        ids = (
            list(self.jobs) if whole else [job_id for job_id in self.hinted if job_id in self.jobs]
        )
        self.hinted.clear()
        if ids:
            # Should this fail, the next look is at all jobs.
            seen_at, self.all_seen_at = now if whole else self.all_seen_at, 0.0
            found = await self.read(revision.of, ids)
            self.all_seen_at = seen_at
            for job_id in ids:
                self.see(job_id, found.get(job_id))
        if now - self.keys_seen_at > KEY_CHECK_SECONDS:
            await self.look_at_keys()

    def all_are_due(self, now: float) -> bool:
        """Whether it is time to look at all jobs. It always is when hints begin to be relied on:
        what happened before that may have been told to nobody."""
        before, self.relied = self.relied, self.reliance.holds()
        tick = HINTED_TICK_SECONDS if self.relied else POLL_SECONDS
        # Half a tick: a timer may be early by a little.
        return self.relied > before or now >= self.all_seen_at + tick - POLL_SECONDS / 2

    def see(self, job_id: str, glance: JobRevision | None) -> None:
        """What was seen of a job, which perhaps nobody watches any more."""
        watched = self.jobs.get(job_id)
        if watched is None:
            return
        known, before = watched.glance is not None, watched.counters
        watched.seen(glance)
        if known and glance is not None:
            self.reliance.see(job_id, watched.counters.grown(before))

    async def look_at_keys(self) -> None:
        """Finds the keys that were revoked or have expired since they were taken."""
        held = list(self.keys)
        self.refused = frozenset(held) - await self.read(keys.valid, held)
        self.keys_seen_at = time.monotonic()
        if self.refused:
            for watched in self.jobs.values():
                watched.wake()

    async def read(self, question: Callable[..., T], *arguments: object) -> T:
        """Asks the database, in a thread; raises ``Unavailable`` when it does not answer.

        ``question``: a service function, which is given a session that sees all tenants' rows.
        """

        def ask() -> T:
            with self.database.session(write=False) as session:
                return question(session, *arguments)

        try:
            return await to_thread.run_sync(ask, limiter=self.readers, abandon_on_cancel=True)
        except SQLAlchemyError as error:
            raise Unavailable("the database does not answer; try again") from error
