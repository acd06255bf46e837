"""Reading recorded series back: every iteration, exactly as it was stored, or what can be seen."""

from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.column_types import Floats
from app.errors import Invalid
from app.services.metrics.downsampling import Sampler
from app.services.metrics.points import EMPTY, Points, joined
from app.services.metrics.pyramid import look
from app.services.metrics.smoothing import Average
from app.tables import Job, MetricChunk
from app.tables.metric import CHUNK_VALUES
from training.spec.mistakes import Mistake, unknown

CHUNK_COUNT = 64
"""Chunks that are looked at together."""


class Selection(NamedTuple):
    """The points past iteration ``after`` that come before iteration ``before``.

    ``smooth``: the weight of the running average that stands in their place. It is computed over
    the series from its beginning, so it does not depend on what is selected.
    """

    after: int | None = None
    before: int | None = None
    smooth: float | None = None


class Curves(NamedTuple):
    """Points by series; ``next_after`` is set when a limit cut them."""

    series: dict[str, Points]
    next_after: int | None


class Overview(NamedTuple):
    """Points to look at by series, and how many there are of each."""

    series: dict[str, Points]
    counts: dict[str, int]


def known_names(job: Job, names: list[str]) -> list[str]:
    """The names, each once; raises ``Invalid`` when the job has no such series."""
    strange = [name for name in names if name not in job.series]
    if strange:
        found = [Mistake("/series", "unknown_name", unknown(n, job.series)) for n in strange]
        raise Invalid("the job has no such series", found, code="unknown_series")
    return list(dict.fromkeys(names))


def read(session: Session, job: Job, names: list[str], selection: Selection, limit: int) -> Curves:
    """The selected points, at most ``limit`` a series."""
    series = {
        name: head(stretches(session, job.id, name, selection, limit + 1), limit + 1)
        for name in known_names(job, names)
    }
    cuts = [int(p.iterations[limit - 1]) for p in series.values() if len(p.iterations) > limit]
    next_after = min(cuts, default=None)
    if next_after is not None:
        series = {name: p.between(None, next_after + 1) for name, p in series.items()}
    return Curves(series, next_after)


def overview(
    session: Session, job: Job, names: list[str], selection: Selection, most: int
) -> Overview:
    """What can be seen of the selected points, with at most ``most`` a series.

    What is read grows with ``most``, not with the series; an average of all, though, needs all.
    """
    first = 0 if selection.after is None else selection.after + 1
    # No point lies past what the job has recorded: the last evaluation is at its last iteration.
    end = job.iteration + 1 if selection.before is None else selection.before
    end = min(end, job.iteration + 1)
    found = {name: Sampler(most, first, end - 1) for name in known_names(job, names)}
    for name, sampler in found.items():
        gaps = [(first, end - 1)]
        if selection.smooth is None:
            gaps = look(session, job.id, name, sampler, end - 1)
        for low, high in gaps:
            rest = Selection(low - 1, high + 1, selection.smooth)
            for part in stretches(session, job.id, name, rest):
                sampler.add(part)
    return Overview(
        {name: sampler.result() for name, sampler in found.items()},
        {name: sampler.count for name, sampler in found.items()},
    )


def head(found: Generator[Points], count: int) -> Points:
    """At least the first ``count`` points, where there are so many."""
    parts, size = [EMPTY], 0
    with closing(found):
        for part in found:
            parts.append(part)
            size += len(part.iterations)
            if size >= count:
                break
    return joined(parts)


def stretches(
    session: Session,
    job_id: str,
    name: str,
    selection: Selection,
    wanted: int = CHUNK_COUNT * CHUNK_VALUES,
) -> Generator[Points]:
    """The selected points of a series, a stretch at a time, in bounded memory.

    ``wanted``: how many will do, so that not many more are fetched.
    """
    after, before, smooth = selection
    average = None if smooth is None else Average(smooth)
    begin = None if average else after
    many = CHUNK_COUNT if average else min(CHUNK_COUNT, wanted // CHUNK_VALUES + 2)
    with closing(recorded(session, job_id, name, begin, before, many)) as parts:
        for part in parts:
            values = average(part.values) if average else part.values
            yield Points(part.iterations, values).between(after, before)


def recorded(
    session: Session, job_id: str, name: str, after: int | None, before: int | None, many: int
) -> Generator[Points]:
    """The stored points of a series from the chunk on that holds ``after``, so many chunks at a
    time."""
    where = (MetricChunk.job_id == job_id, MetricChunk.series == name)
    query = select(MetricChunk.first_iteration, MetricChunk.stride, MetricChunk.values)
    query = query.where(*where).order_by(MetricChunk.first_iteration)
    if after is not None:
        # The chunk that holds ``after`` is the last one that begins at or before it.
        begin = (
            select(func.max(MetricChunk.first_iteration))
            .where(*where, MetricChunk.first_iteration <= after)
            .scalar_subquery()
        )
        query = query.where(MetricChunk.first_iteration >= func.coalesce(begin, 0))
    if before is not None:
        query = query.where(MetricChunk.first_iteration < before)
    # Closed, for the server holds what was not fetched.
    with closing(session.execute(query.execution_options(yield_per=many))) as rows:
        for chunks in rows.partitions():
            yield joined([points_of(*chunk) for chunk in chunks])


def points_of(first: int, stride: int, values: Floats) -> Points:
    """A chunk with its iterations written out."""
    return Points(first + stride * np.arange(len(values)), values)
