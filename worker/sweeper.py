"""Puts right what nobody is left to put right: expired leases, lost bells, old answers.

Every supervisor sweeps; each sweep is a few short transactions that are right however many do it.
"""

import time
from typing import Any

import structlog
from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.orm import Session

from app import postgres, queue
from app.config import Settings
from app.db import Database, after_commit, clock
from app.services import answers, counters
from app.services.control import move
from app.services.workers import SILENCE
from app.tables import Job, JobState, Task, TaskState, Worker
from worker.ends import End, lethal
from worker.fence import held
from worker.housekeeping import Housekeeper

log = structlog.get_logger()

ANSWERS_KEPT = 3600.0
"""Seconds that a task's answer can be fetched."""
SILENT_WORKERS_KEPT = 3600.0
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
            session.execute(delete(Task).where(Task.finished_at < clock(-ANSWERS_KEPT)))
            session.execute(delete(Worker).where(Worker.seen_at < clock(-SILENT_WORKERS_KEPT)))
            answers.sweep(session)
            counters.fold(session)
        self.ring()
        self.housekeeper.tidy()

    def free(self) -> None:
        """Takes the locks from who stands still with them; on SQLite that is a supervisor's."""
        if self.database.file is None:
            with self.database.session(write=False) as session:
                postgres.end_the_still(session)

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
                queue.TRAINING: waits(session, Job, JobState.QUEUED),
                queue.INTERACTIVE: waits(session, Task, TaskState.QUEUED),
            }
        for name, work in waiting.items():
            if work:
                queue.wake(name)


Claimed = type[Job] | type[Task]


def waits(session: Session, table: Claimed, state: str, *where: Any) -> bool:
    """Whether any row is in a state."""
    return session.scalar(select(table.id).where(table.state == state, *where).limit(1)) is not None


def expired(table: Claimed, for_seconds: float = 0.0) -> ColumnElement[bool]:
    """Rows whose lease ran out, so long ago."""
    return table.lease_expires_at < clock(-for_seconds)


def abandoned(table: Claimed, lease: float) -> ColumnElement[bool]:
    """Rows whose lease ran out and whose worker nobody looks after, or not to any effect."""
    looked_after = exists().where(Worker.id == table.worker, Worker.seen_at > clock(-SILENCE))
    return expired(table) & (~looked_after | expired(table, lease))


def requeue(session: Session, *where: Any, reason: str) -> int:
    """Takes jobs back from workers that are lost, or ends those that kill whoever works on them.

    The fence rises: should the worker still live, it can write no more. Two deaths at the same
    iteration are no accident. Returns how many jobs it took back.
    """
    jobs = session.scalars(
        select(Job).where(held(Job), *where).with_for_update(skip_locked=True)
    ).all()
    for job in jobs:
        at = job.attempt_iteration
        again = job.death_iteration == at
        death = {
            "fence": job.fence + 1,
            "deaths": job.deaths + 1,
            "death_iteration": at,
        }
        end = lethal(at) if again else End("lose", reason)
        moved = move(session, job.id, end.arrow, end.reason, **end.values, **death)
        log.warning("job taken back", job_id=job.id, reason=reason, state=moved.state)
    return len(jobs)


def requeue_tasks(session: Session, *where: Any) -> int:
    """Questions whose worker is gone are asked again, once; then the answer is an error.

    Returns how many there were.
    """
    running = (held(Task), *where)
    failure = {"code": "worker_lost", "message": "two workers died over this question"}
    given_up = session.execute(
        update(Task)
        .where(*running, Task.fence > 1)
        .values(state=TaskState.FAILED, error=failure, finished_at=clock(), fence=Task.fence + 1)
    )
    asked = session.execute(update(Task).where(*running).values(state=TaskState.QUEUED))
    if asked.rowcount:  # type: ignore[attr-defined]
        after_commit(session, lambda: queue.ring(queue.INTERACTIVE))
    return int(given_up.rowcount + asked.rowcount)  # type: ignore[attr-defined]
