"""Series in a database as a worker leaves them: chunks, and the levels above them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.database.upsert import execute_many
from app.services.metrics.series_writer import SeriesWriter
from app.tables import Job
from worker.recording.transaction import adding, replacing

Floats = NDArray[np.float32]


def record(session: Session, job: Job, series: SeriesWriter, first: int, values: Floats) -> bool:
    """One block of values; whether all repeated ones agree."""
    rows, agree = series.add(first, values)
    owner = {"job_id": job.id, "tenant_id": job.tenant_id, "series": series.name}
    chunks = [
        owner | {"first_iteration": at, "stride": series.stride, "values": found}
        for at, found in rows
    ]
    levels = [
        owner
        | {"level": row.level, "first_iteration": row.first, "last_iteration": row.last}
        | {"marks": row.marks}
        for row in series.taken()
    ]
    execute_many(session, replacing, chunks)
    execute_many(session, adding, levels)
    return agree


def record_all(session: Session, job: Job, curves: Iterable[tuple[str, int, int, Floats]]) -> None:
    """Whole series: name, first iteration, stride and values of each."""
    for name, origin, stride, values in curves:
        record(session, job, SeriesWriter(name, origin, stride), origin, values)
