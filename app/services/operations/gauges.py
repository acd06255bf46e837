"""What an operator watches: the queue, the workers, the counters. It spans tenants."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.services.operations import counters
from app.services.operations.workers import SILENCE_SECONDS
from app.tables import Job, JobState, Task, TaskState, Worker


class Gauges(NamedTuple):
    """One moment. ``oldest_queued_seconds`` is 0 when no job waits."""

    jobs: dict[str, int]
    tasks: dict[str, int]
    oldest_queued_seconds: float
    workers: dict[tuple[str, str], int]
    counters: dict[tuple[str, str], int]


def read(session: Session) -> Gauges:
    """All of it."""
    workers = (
        select(Worker.pool, Worker.device, func.count())
        .where(Worker.seen_at > db_now(-SILENCE_SECONDS))
        .group_by(Worker.pool, Worker.device)
    )
    return Gauges(
        jobs=by_state(session, Job, JobState),
        tasks=by_state(session, Task, TaskState),
        oldest_queued_seconds=oldest_queued(session),
        workers={(pool, device): n for pool, device, n in session.execute(workers)},
        counters=counters.read(session),
    )


def oldest_queued(session: Session) -> float:
    """How long the job that waits longest has been there, in seconds."""
    query = select(func.min(Job.created_at), db_now()).where(Job.state == JobState.QUEUED)
    row: tuple[datetime | None, datetime] = session.execute(query).one().tuple()
    since, now = row
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def by_state(
    session: Session, table: type[Job] | type[Task], states: Iterable[str]
) -> dict[str, int]:
    """How many rows are in each state; one that nothing is in counts 0."""
    counted = session.execute(select(table.state, func.count()).group_by(table.state))
    return dict.fromkeys(states, 0) | {row[0]: row[1] for row in counted}
