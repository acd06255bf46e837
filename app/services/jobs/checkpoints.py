"""The checkpoints of a job, and the newest of them that can be read."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.storage import DamagedFile
from app.tables import Checkpoint

Content = TypeVar("Content")


def newest_first(session: Session, job_id: str, last: int | None = None) -> Sequence[Checkpoint]:
    """Those of a job, up to iteration ``last``."""
    query = select(Checkpoint).where(Checkpoint.job_id == job_id)
    if last is not None:
        query = query.where(Checkpoint.iteration <= last)
    return session.scalars(query.order_by(Checkpoint.iteration.desc())).all()


def from_newest_readable(
    rows: Sequence[Checkpoint],
    read: Callable[[Checkpoint], Content],
    skipped: Callable[[Checkpoint, Exception], None] = lambda row, error: None,
) -> tuple[Sequence[Checkpoint], Content | None]:
    """The rows from the first one that ``read`` can read, and what it read; none: the start needs
    no checkpoint. ``read`` raises ``DamagedFile``, or ``ValueError`` for a format it does not know.
    """
    for i, row in enumerate(rows):
        try:
            return rows[i:], read(row)
        except (DamagedFile, ValueError) as error:
            skipped(row, error)
    return [], None
