"""What a new job takes over from one that is there: series and checkpoints, as its own.

Files are proved and given their second names, and series are read, before the transaction that
keeps the job. In it rows are written, and the database copies the series by itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from app.database.column_types import head
from app.ids import new_id
from app.jsonable import to_jsonable
from app.services.metrics import reader
from app.storage import DamagedFile, Storage
from app.tables import Checkpoint, Job, MetricChunk, MetricLevel
from training.catalog.metrics import rises

Values = dict[str, Any]


def copy_series(session: Session, parent: Job, heir: Job) -> None:
    """Copies what was recorded before the heir's first iteration."""
    chunk, end = MetricChunk, heir.iteration
    count = (end - chunk.first_iteration + chunk.stride - 1) // chunk.stride
    copied = {
        "tenant_id": literal(heir.tenant_id),
        "job_id": literal(heir.id),
        "series": chunk.series,
        "first_iteration": chunk.first_iteration,
        "stride": chunk.stride,
        "values": head(chunk.values, count),
    }
    inherited = select(*copied.values()).where(
        chunk.job_id == parent.id, chunk.series.in_(heir.series), chunk.first_iteration < end
    )
    session.execute(insert(chunk).from_select(list(copied), inherited))
    copy_levels(session, parent, heir)


def copy_levels(session: Session, parent: Job, heir: Job) -> None:
    """Copies what was made of these values alone."""
    level = MetricLevel
    copied = {
        "tenant_id": literal(heir.tenant_id),
        "job_id": literal(heir.id),
        "series": level.series,
        "level": level.level,
        "first_iteration": level.first_iteration,
        "last_iteration": level.last_iteration,
        "marks": level.marks,
    }
    inherited = select(*copied.values()).where(
        level.job_id == parent.id,
        level.series.in_(heir.series),
        level.last_iteration < heir.iteration,
    )
    session.execute(insert(level).from_select(list(copied), inherited))


def latest_and_best(session: Session, parent: Job, heir: Job) -> tuple[Values, Values]:
    """The latest and the best values of what the heir takes over; NaN is never best."""
    latest, best = Values(), Values()
    before = reader.Selection(before=heir.iteration)
    for name in heir.series:
        lowest = highest = np.float32(np.nan)
        for part in reader.stretches(session, parent.id, name, before):
            if len(part.values):
                latest[name] = to_jsonable(float(part.values[-1]))
                lowest = np.fmin(lowest, np.fmin.reduce(part.values))
                highest = np.fmax(highest, np.fmax.reduce(part.values))
        if not np.isnan(lowest):
            best[name] = to_jsonable(float(highest if rises(name) else lowest))
    return latest, best


def link_checkpoints(storage: Storage, rows: Sequence[Checkpoint], heir: Job) -> list[Checkpoint]:
    """The heir's own checkpoints, whose files are the parent's under second names.

    One whose file is gone (the parent trains, and thins them out) is left out.
    """
    found = list[Checkpoint]()
    try:
        for row in rows:
            try:
                location = storage.share("ckpt", row.location)
            except DamagedFile:
                continue
            found.append(
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
    except BaseException:
        delete_files(storage, found)
        raise
    return found


def delete_files(storage: Storage, rows: Sequence[Checkpoint]) -> None:
    """Removes files that no row names."""
    for row in rows:
        storage.delete(row.location)
