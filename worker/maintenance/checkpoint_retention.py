"""Which checkpoints are kept: of a running job the last two, and others thinned evenly; of one that
has ended fewer and fewer.

Whatever goes, any iteration can be had again: a replay begins at a checkpoint before it, or at the
start.
"""

from collections.abc import Collection
from functools import partial

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.database.session import after_commit
from app.storage import Storage
from app.tables import TERMINAL, Checkpoint, Job

MAX_CHECKPOINT_COUNT = 34
"""The last two and up to 32 over the run, so that no iteration is far from one."""
MAX_ENDED_CHECKPOINT_COUNT = 8
JOB_COUNT = 20
"""Jobs that one transaction concerns."""
DAY_SECONDS = 86_400.0


def thin(session: Session, storage: Storage, job_id: str, most: int = MAX_CHECKPOINT_COUNT) -> None:
    """Drops checkpoints while there are too many: each where it leaves the smallest gap."""
    query = select(Checkpoint).where(Checkpoint.job_id == job_id)
    rows = list(session.scalars(query.order_by(Checkpoint.iteration)))
    gone = []
    while len(rows) > most:
        gone.append(rows.pop(redundant([row.iteration for row in rows])))
    drop(session, storage, gone)


def redundant(iterations: list[int]) -> int:
    """The index, but for the last two, whose neighbours (or the start) lie closest together."""
    before = [0, *iterations]
    gaps = [iterations[i + 1] - before[i] for i in range(len(iterations) - 2)]
    return gaps.index(min(gaps))


def drop(session: Session, storage: Storage, rows: Collection[Checkpoint]) -> None:
    """The rows, and with the commit their files."""
    if rows:
        ids = [row.id for row in rows]
        session.execute(delete(Checkpoint).where(Checkpoint.id.in_(ids)))
    for row in rows:
        after_commit(session, partial(storage.delete, row.location))


def thin_ended(session: Session, storage: Storage, days: float) -> bool:
    """Thins those of some jobs that ended so long ago; whether there was anything to do."""
    many = func.count() > MAX_ENDED_CHECKPOINT_COUNT
    found = session.scalars(of_ended(days).having(many).limit(JOB_COUNT)).all()
    for job_id in found:
        thin(session, storage, job_id, MAX_ENDED_CHECKPOINT_COUNT)
    return bool(found)


def expire_ended(session: Session, storage: Storage, days: float) -> bool:
    """Drops all those of some jobs that ended so long ago; whether there was anything to do."""
    found = session.scalars(of_ended(days).limit(JOB_COUNT)).all()
    rows = session.scalars(select(Checkpoint).where(Checkpoint.job_id.in_(found))).all()
    drop(session, storage, rows)
    return bool(found)


def of_ended(days: float) -> Select[str]:
    """Jobs with checkpoints that ended so many days ago."""
    ended = (Job.state.in_(TERMINAL), Job.finished_at < db_now(-days * DAY_SECONDS))
    query = select(Checkpoint.job_id).join(Job, Job.id == Checkpoint.job_id).where(*ended)
    return query.group_by(Checkpoint.job_id)
