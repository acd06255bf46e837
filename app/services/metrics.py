"""Reading recorded series back: every iteration, exactly as it was stored."""

from contextlib import closing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.tables import Job, MetricChunk
from training.mistakes import Mistake, unknown


class Points(NamedTuple):
    """A series, ascending: iterations int64 [n] and values float32 [n]."""

    iterations: NDArray[np.int64]
    values: NDArray[np.float32]


class Curves(NamedTuple):
    """Points by series; ``next_after`` is set when a limit cut them."""

    series: dict[str, Points]
    last: dict[str, int]
    next_after: int | None


def read(session: Session, job: Job, names: list[str], after: int | None, limit: int) -> Curves:
    """The points after iteration ``after``, at most ``limit`` a series."""
    strange = [name for name in names if name not in job.series]
    if strange:
        found = [Mistake("/series", "unknown_name", unknown(n, job.series)) for n in strange]
        raise Invalid("the job has no such series", found, code="unknown_series")
    series = {name: points(session, job.id, name, after, limit + 1) for name in names}
    cuts = [int(p.iterations[limit - 1]) for p in series.values() if len(p.iterations) > limit]
    next_after = min(cuts, default=None)
    if next_after is not None:
        series = {name: until(p, next_after) for name, p in series.items()}
    last = {name: int(p.iterations[-1]) for name, p in series.items() if len(p.iterations)}
    return Curves(series, last, next_after)


def points(session: Session, job_id: str, name: str, after: int | None, limit: int) -> Points:
    """At least the first ``limit`` points after ``after``, where there are so many."""
    query = (
        select(MetricChunk)
        .where(MetricChunk.job_id == job_id, MetricChunk.series == name)
        .order_by(MetricChunk.first_iteration)
    )
    if after is not None:
        # The chunk that holds ``after`` is the last one that begins at or before it.
        begin = (
            select(MetricChunk.first_iteration)
            .where(
                MetricChunk.job_id == job_id,
                MetricChunk.series == name,
                MetricChunk.first_iteration <= after,
            )
            .order_by(MetricChunk.first_iteration.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = query.where(MetricChunk.first_iteration >= func.coalesce(begin, 0))
    iterations: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    values: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)]
    count = 0
    # Closed, for the server holds what was not fetched.
    with closing(session.scalars(query.execution_options(yield_per=64))) as chunks:
        for chunk in chunks:
            n = chunk.first_iteration + chunk.stride * np.arange(len(chunk.values))
            new = n > (-1 if after is None else after)
            iterations.append(n[new])
            values.append(chunk.values[new])
            count += int(new.sum())
            if count >= limit:
                break
    return Points(np.concatenate(iterations), np.concatenate(values))


def until(points: Points, last: int) -> Points:
    """The points up to and including iteration ``last``."""
    end = int(np.searchsorted(points.iterations, last, side="right"))
    return Points(points.iterations[:end], points.values[:end])
