"""Puts right what nobody is left to put right: expired leases, lost bells, old answers.

Every supervisor sweeps; each sweep is a few short transactions that are right however many do it.
"""

import time

import structlog
from sqlalchemy import delete

from app import broker
from app.config import Settings
from app.database import postgres
from app.database.base import db_now
from app.database.session import Database
from app.services import idempotency
from app.services.operations import counters
from app.tables import Job, JobState, Task, TaskState, Worker
from worker.maintenance.orphans import Housekeeper
from worker.queue.requeue import abandoned, requeue, requeue_tasks, waits

log = structlog.get_logger()


ANSWERS_KEPT_SECONDS = 3600.0
"""Seconds that a task's answer can be fetched."""


SILENT_WORKERS_KEPT_SECONDS = 3600.0
"""Seconds after which a worker that nobody keeps fresh is forgotten. Not soon: one that was only
cut off comes back, and then its supervisor has to know it."""


class Sweeper:
    """Expires nothing before it has itself seen the database answer for a whole lease: while the
    database was away, no worker could renew, and none of them is dead for that."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.housekeeper = Housekeeper(settings, database)
        self.answering_since = self.looked_at = time.monotonic()

    def blind(self) -> None:
        """The database did not answer."""
        self.answering_since = time.monotonic() + self.settings.sweep_seconds

    def look(self) -> None:
        """Notices a time in which this process has not looked, for it or the database stood still:
        then others may not have been able to renew either."""
        now = time.monotonic()
        if now - self.looked_at > self.settings.lease_seconds / 2:
            self.blind()
        self.looked_at = now

    def sees(self) -> bool:
        """Whether a lease that ran out says anything about its holder."""
        self.look()
        return time.monotonic() - self.answering_since >= self.settings.lease_seconds

    def sweep(self) -> None:
        """One round."""
        self.free()
        self.expire()
        with self.database.session() as session:
            session.execute(delete(Task).where(Task.finished_at < db_now(-ANSWERS_KEPT_SECONDS)))
            session.execute(
                delete(Worker).where(Worker.seen_at < db_now(-SILENT_WORKERS_KEPT_SECONDS))
            )
            idempotency.sweep(session)
            counters.fold(session)
        self.ring()
        self.housekeeper.tidy()

    def free(self) -> None:
        """Takes the locks from who stands still with them; on SQLite that is a supervisor's."""
        if self.database.file is None:
            with self.database.session(write=False) as session:
                postgres.end_stuck_sessions(session)

    def expire(self) -> None:
        """Takes back what is held under a lease that has run out.

        A worker whose supervisor lives is left to that for a lease more: it kills what hangs, and
        takes back what it had; were the row taken back first, nothing would show that it hangs.
        """
        if not self.sees():
            return
        lease = self.settings.lease_seconds
        with self.database.session() as session:
            jobs = requeue(session, abandoned(Job, lease), reason="its lease expired")
            tasks = requeue_tasks(session, abandoned(Task, lease))
            taken_back = {(counters.EXPIRED, "job"): jobs, (counters.EXPIRED, "task"): tasks}
            counters.add(session, taken_back)

    def ring(self) -> None:
        """Rings where work waits and no bell does."""
        with self.database.session(write=False) as session:
            waiting = {
                broker.TRAINING: waits(session, Job, JobState.QUEUED),
                broker.INTERACTIVE: waits(session, Task, TaskState.QUEUED),
            }
        for name, work in waiting.items():
            if work:
                broker.notify_if_idle(name)
