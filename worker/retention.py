"""Which checkpoints of a running job are kept: the last two, and others thinned evenly."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db import after_commit
from app.storage import Storage
from app.tables import Checkpoint

KEPT = 34
"""The last two and up to 32 over the run, so that no iteration is far from one."""


def thin(session: Session, storage: Storage, job_id: str) -> None:
    """Drops one checkpoint when there are too many: where it leaves the smallest gap."""
    rows = session.scalars(
        select(Checkpoint).where(Checkpoint.job_id == job_id).order_by(Checkpoint.iteration)
    ).all()
    if len(rows) <= KEPT:
        return
    at = redundant([row.iteration for row in rows])
    session.execute(delete(Checkpoint).where(Checkpoint.id == rows[at].id))
    after_commit(session, lambda: storage.delete(rows[at].location))


def redundant(iterations: list[int]) -> int:
    """The index, but for the last two, whose neighbours (or the start) lie closest together."""
    before = [0, *iterations]
    gaps = [iterations[i + 1] - before[i] for i in range(len(iterations) - 2)]
    return gaps.index(min(gaps))
