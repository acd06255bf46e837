"""The levels of one series as its chunks close: each row is written once, when it is whole."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.services.metrics.pyramid import Row, of_chunk, of_rows
from app.tables import MetricLevel
from app.tables.metric import CHUNK_VALUES, FAN_OUT_COUNT, width


class Chunk(NamedTuple):
    """A chunk to be written: where it begins, and all it holds."""

    first_iteration: int
    values: NDArray[np.float32]


class PyramidWriter:
    """Rows that wait for their siblings, by level: ``FAN`` of them make one of the next level."""

    def __init__(self, origin: int, stride: int) -> None:
        self.origin = origin
        self.stride = stride
        self.waiting: dict[int, list[Row]] = {}

    def load(self, session: Session, job_id: str, series: str, recorded: int) -> None:
        """Reads back the rows that wait when so many values are recorded."""
        closed, level, starts = recorded // CHUNK_VALUES * CHUNK_VALUES, 1, dict[int, int]()
        while width(level) <= closed:
            whole = closed // width(level + 1) * width(level + 1)
            starts[level] = self.origin + whole * self.stride
            level += 1
        if not starts:
            return
        table = MetricLevel
        found = session.execute(
            select(table.level, table.first_iteration, table.last_iteration, table.marks)
            .where(table.job_id == job_id, table.series == series)
            .where(
                or_(*((table.level == k) & (table.first_iteration >= n) for k, n in starts.items()))
            )
            .order_by(table.level, table.first_iteration)
        )
        for values in found:
            self.waiting.setdefault(values[0], []).append(Row(*values))

    def closed(self, chunks: Iterable[Chunk]) -> Iterator[Row]:
        """What new chunks bring; one that is still open brings nothing."""
        for first, values in chunks:
            if len(values) == CHUNK_VALUES:
                yield from self.rising(of_chunk(first, self.stride, values))

    def rising(self, row: Row) -> Iterator[Row]:
        """A row, and those of the levels above it that it completes."""
        yield row
        siblings = self.waiting.setdefault(row.level, [])
        siblings.append(row)
        number = (row.first - self.origin) // self.stride // width(row.level)
        if number % FAN_OUT_COUNT == FAN_OUT_COUNT - 1:
            del self.waiting[row.level]
            if len(siblings) == FAN_OUT_COUNT:  # else some were recorded before there were levels
                yield from self.rising(of_rows(siblings))
