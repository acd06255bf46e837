"""A series from afar: what a row of each level keeps, and which rows a look at the series takes.

Numbers of positions and iterations differ by the stride of the series: a row of level k stands for
``width(k)`` values, in ``NODES`` parts.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.database.column_types import MARK, Floats, Marks
from app.services.metrics.downsampling import Iterations, Sampler, extremes
from app.services.metrics.points import Points
from app.tables import MetricChunk, MetricLevel
from app.tables.metric import CHUNK_VALUES, NODE_COUNT, width

MIN_BUCKET_PARTS_COUNT = 3
"""Parts of a row that a bucket must have at least, so that buckets differ little in width."""

Gap = tuple[int, int]
"""First and last iteration of what is not seen yet."""


class Row(NamedTuple):
    """A row of ``metric_levels``."""

    level: int
    first: int
    last: int
    marks: Marks

    @property
    def stride(self) -> int:
        """Iterations from one value to the next."""
        return (self.last - self.first) // (width(self.level) - 1)


def of_chunk(first: int, stride: int, values: Floats) -> Row:
    """The first level of a closed chunk."""
    assert len(values) == CHUNK_VALUES, "an open chunk"
    at = first + stride * np.arange(CHUNK_VALUES)
    return row(1, first, stride, Points(at, values))


def of_rows(rows: Sequence[Row]) -> Row:
    """A level's row from those of the level below that it stands for."""
    marks = np.concatenate([each.marks for each in rows])
    points = Points(marks["iteration"].astype(np.int64), marks["value"])
    return row(rows[0].level + 1, rows[0].first, rows[0].stride, points)


def row(level: int, first: int, stride: int, points: Points) -> Row:
    """What a row keeps of the points that are known of its stretch."""
    part = (points.iterations - first) // (width(level) // NODE_COUNT * stride)
    keep = extremes(part, points.values)
    marks = np.empty(len(keep), dtype=MARK)
    marks["iteration"], marks["value"] = points.iterations[keep], points.values[keep]
    return Row(level, first, first + (width(level) - 1) * stride, marks)


def look(session: Session, job_id: str, name: str, sampler: Sampler, last: int) -> list[Gap]:
    """Shows a sampler the rows of its range; returns what of it no row stands for."""
    gaps = [(sampler.first, last)]
    for level in range(coarsest(session, job_id, name, sampler, last), 0, -1):
        wide = [(low, high) for low, high in gaps if high - low + 1 >= width(level)]
        rows = within(session, job_id, name, level, wide) if wide else []
        if rows:
            sampler.take(*seen(rows), len(rows) * width(level))
            gaps = left(gaps, rows)
    return gaps


def coarsest(session: Session, job_id: str, name: str, sampler: Sampler, last: int) -> int:
    """The highest level whose parts are narrow enough for the buckets; 0: only the points are."""
    stride = session.scalar(
        select(MetricChunk.stride)
        .where(
            MetricChunk.job_id == job_id,
            MetricChunk.series == name,
            MetricChunk.first_iteration <= last,
        )
        .order_by(MetricChunk.first_iteration.desc())
        .limit(1)
    )
    level = 0
    while (
        stride
        and MIN_BUCKET_PARTS_COUNT * stride * width(level + 1) // NODE_COUNT <= sampler.bucket_width
    ):
        level += 1
    return level


def within(session: Session, job_id: str, name: str, level: int, gaps: Iterable[Gap]) -> list[Row]:
    """The rows of a level that lie within one of the gaps, ascending."""
    table = MetricLevel
    found = session.execute(
        select(table.level, table.first_iteration, table.last_iteration, table.marks)
        .where(
            table.job_id == job_id,
            table.series == name,
            table.level == level,
            or_(
                *(
                    table.first_iteration.between(low, high) & (table.last_iteration <= high)
                    for low, high in gaps
                )
            ),
        )
        .order_by(table.first_iteration)
    )
    return [Row(*values) for values in found]


def seen(rows: Sequence[Row]) -> tuple[Iterations, Points]:
    """The points that rows of one level keep, and where the part of each begins."""
    marks = np.concatenate([each.marks for each in rows])
    points = Points(marks["iteration"].astype(np.int64), marks["value"])
    sizes = [len(each.marks) for each in rows]
    first = np.repeat([each.first for each in rows], sizes)
    part = np.repeat([width(each.level) // NODE_COUNT * each.stride for each in rows], sizes)
    return first + (points.iterations - first) // part * part, points


def left(gaps: Iterable[Gap], rows: Sequence[Row]) -> list[Gap]:
    """What of the gaps none of the rows stands for."""
    found = list[Gap]()
    for low, high in gaps:
        begin = follower = low
        for each in rows:
            if low <= each.first <= high:
                if each.first not in (begin, follower):
                    found.append((begin, each.first - 1))
                # A value may come sooner than the stride says: where a fork evaluates more often.
                begin, follower = each.last + 1, each.last + each.stride
        if begin <= high:
            found.append((begin, high))
    return found
