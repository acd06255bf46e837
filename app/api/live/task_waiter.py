"""Questions to a worker, each asked once for all who want to know it at the same time.

Whoever waits for an answer holds neither a thread nor a connection: one look at the database serves
all who wait through this process. Who may ask, and whether it can be asked, is found out before by
each for himself (``app.services.replay_tasks``).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import structlog

from app.api.live.job_watcher import RETRY_SECONDS, JobWatcher
from app.errors import Unavailable
from app.services import replay_tasks
from app.tables import Task

log = structlog.get_logger()

POLL_SECONDS = 0.02
"""Seconds between two looks: a replay of a small job takes about as long."""


class PendingTask:
    """One that somebody waits for: ``asked`` becomes its row, ``answered`` says that the row has
    the answer."""

    def __init__(self, asked: asyncio.Task[Task]) -> None:
        self.askers = 0
        self.asked = asked
        self.answered = asyncio.Event()
        self.row: Task | None = None

    def seen(self, row: Task) -> None:
        """Tells all who wait, if this is the answer."""
        self.row = row
        if row.finished_at is not None:
            self.answered.set()


class TaskWaiter:
    """All that are waited for through this process."""

    def __init__(self, watch: JobWatcher) -> None:
        self.watch = watch
        self.open: dict[str, PendingTask] = {}
        self.looking: asyncio.Task[None] | None = None

    @contextmanager
    def asking(
        self, question: str, ask: Callable[[], Coroutine[Any, Any, Task]]
    ) -> Iterator[PendingTask]:
        """Takes part in a question that is asked already, or asks it; ``question`` tells which it
        is, the job included."""
        if question not in self.open:
            self.open[question] = PendingTask(asyncio.create_task(ask()))
        found = self.open[question]
        found.askers += 1
        try:
            yield found
        finally:
            found.askers -= 1
            if not found.askers:
                del self.open[question]

    async def wait(self, question: PendingTask, seconds: float) -> None:
        """Until it is asked, and then answered or the time is up."""
        row = await asyncio.shield(question.asked)  # it is asked, whoever leaves meanwhile
        if question.row is None:
            question.seen(row)
        if self.looking is None:
            self.looking = asyncio.create_task(self.look())
        with anyio.move_on_after(seconds):
            await question.answered.wait()

    async def look(self) -> None:
        """Looks while anybody waits."""
        while waiting := {
            q.row.id: q for q in self.open.values() if q.row and not q.answered.is_set()
        }:
            await asyncio.sleep(POLL_SECONDS)
            try:
                found = await self.watch.read(replay_tasks.answered, list(waiting))
            except Unavailable:
                log.warning("those who ask wait: the database does not answer")
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # Those who ask would wait for ever for a task that has ended.
                log.exception("a look at the questions failed")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                for row in found:
                    waiting[row.id].seen(row)
        self.looking = None
