"""One look at the database for all who watch a job through this process.

Whoever waits for a job or streams it registers here, and holds neither a thread nor a connection
meanwhile. While anybody does, a task asks once every tick, in one query, for the few numbers that
say whether something happened, and wakes those whom it concerns. When the database is away they are
simply not woken. Nothing is decided here: who is woken reads for himself what there is.
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
from app.services.jobs import revision
from app.services.jobs.revision import JobRevision
from app.services.tenancy import keys

T = TypeVar("T")
log = structlog.get_logger()

POLL_SECONDS = 0.1
"""Seconds between two looks."""
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
    """All that is watched through this process; ``most`` may watch at once."""

    def __init__(self, database: Database, most: int) -> None:
        self.database = database
        self.most = most
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
        watched = self.jobs.setdefault(job_id, WatchedJob())
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
            if not self.jobs:
                self.wanted.clear()

    async def run(self) -> None:
        """The task: looks while anybody watches."""
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
            await asyncio.sleep(max(0.0, began + POLL_SECONDS - time.monotonic()))

    async def look(self) -> None:
        """Sees all jobs, tells whom it concerns, and looks at their keys now and then."""
        ids = list(self.jobs)
        found = await self.read(revision.of, ids)
        if self.ending():
            for watched in self.jobs.values():
                watched.wake()
        for job_id in ids:
            if job_id in self.jobs:
                self.jobs[job_id].seen(found.get(job_id))
        if time.monotonic() - self.keys_seen_at > KEY_CHECK_SECONDS:
            await self.look_at_keys()

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
