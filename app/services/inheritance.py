"""What a new job takes over from one that is there: series and checkpoints, as its own."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import after_rollback
from app.ids import new_id
from app.numbers import speakable
from app.storage import DamagedFile, Storage
from app.tables import Checkpoint, Job, MetricChunk
from app.tables.columns import Floats
from training.catalog.metrics import rises

AT_ONCE = 64
"""Chunks that are copied at once."""


def take_series(session: Session, parent: Job, heir: Job, end: int) -> None:
    """Copies what was recorded before iteration ``end``, with its latest and its best values."""
    latest: dict[str, Any] = {}
    best: dict[str, Any] = {}
    for name in heir.series:
        lowest = highest = np.float32(np.nan)
        for rows in chunks(session, parent.id, name, end):
            session.add_all(
                MetricChunk(
                    tenant_id=heir.tenant_id,
                    job_id=heir.id,
                    series=name,
                    first_iteration=row.first_iteration,
                    stride=row.stride,
                    values=values,
                )
                for row, values in rows
            )
            session.flush()
            for _, values in rows:
                latest[name] = speakable(float(values[-1]))
                lowest = np.fmin(lowest, np.fmin.reduce(values))
                highest = np.fmax(highest, np.fmax.reduce(values))
        if not np.isnan(lowest):
            best[name] = speakable(float(highest if rises(name) else lowest))
    session.execute(update(Job).where(Job.id == heir.id).values(latest=latest, best=best))


def chunks(
    session: Session, job_id: str, name: str, end: int
) -> Iterator[list[tuple[MetricChunk, Floats]]]:
    """The chunks of a series, some at a time, with their values before iteration ``end``."""
    after = -1
    while True:
        rows = session.scalars(
            select(MetricChunk)
            .where(
                MetricChunk.job_id == job_id,
                MetricChunk.series == name,
                MetricChunk.first_iteration > after,
                MetricChunk.first_iteration < end,
            )
            .order_by(MetricChunk.first_iteration)
            .limit(AT_ONCE)
        ).all()
        if not rows:
            return
        yield [(row, row.values[: -(-(end - row.first_iteration) // row.stride)]) for row in rows]
        after = rows[-1].first_iteration


def take_checkpoints(session: Session, storage: Storage, parent: Job, heir: Job, last: int) -> None:
    """The parent's checkpoints up to iteration ``last``, under names of their own.

    One whose file is gone (the parent trains, and thins them out) is left out.
    """
    for row in checkpoints(session, parent, last):
        try:
            location = storage.share("ckpt", row.location)
        except DamagedFile:
            continue
        after_rollback(session, partial(forget, storage, location))
        session.add(
            Checkpoint(
                id=new_id("ckpt"),
                tenant_id=heir.tenant_id,
                job_id=heir.id,
                iteration=row.iteration,
                location=location,
                sha256=row.sha256,
                size=row.size,
            )
        )


def forget(storage: Storage, location: str, session: Session) -> None:
    """Removes a file that no row names, for the transaction has failed."""
    storage.delete(location)


def newest_readable(session: Session, storage: Storage, job: Job) -> int:
    """The iteration of the newest checkpoint that can be read; 0: the start needs none."""
    rows = checkpoints(session, job, job.iteration)
    whole = (row.iteration for row in rows if storage.whole(row.location, row.sha256))
    return next(whole, 0)


def checkpoints(session: Session, job: Job, last: int) -> list[Checkpoint]:
    """A job's checkpoints up to iteration ``last``, newest first."""
    query = select(Checkpoint).where(Checkpoint.job_id == job.id, Checkpoint.iteration <= last)
    return list(session.scalars(query.order_by(Checkpoint.iteration.desc())))
