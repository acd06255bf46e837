"""What is recorded of one series, cut into chunks: added once, compared when it is repeated."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.services.metrics.pyramid import Row
from app.services.metrics.pyramid_writer import Chunk, PyramidWriter
from app.tables import Job, MetricChunk
from app.tables.metric import CHUNK_VALUES

Values = NDArray[np.float32]


class SeriesWriter:
    """The open end of a series. Position p stands for iteration ``origin + p·stride``.

    ``values`` begin at position ``base``, a chunk's boundary; what lies before is closed.
    ``coarser``: what closing chunks has brought to the levels, until it is taken.
    """

    def __init__(self, name: str, origin: int, stride: int) -> None:
        self.name = name
        self.origin = origin
        self.stride = stride
        self.base = 0
        self.values: Values = np.empty(0, dtype=np.float32)
        self.levels = PyramidWriter(origin, stride)
        self.coarser: list[Row] = []

    def load(self, session: Session, job: Job, resume_at: int) -> None:
        """Reads back what a lost attempt recorded, from the chunk that holds ``resume_at`` on."""
        position = max(0, -(-(resume_at - self.origin) // self.stride))
        self.base = position - position % CHUNK_VALUES
        rows = session.scalars(
            select(MetricChunk)
            .where(
                MetricChunk.job_id == job.id,
                MetricChunk.series == self.name,
                MetricChunk.first_iteration >= self.origin + self.base * self.stride,
            )
            .order_by(MetricChunk.first_iteration)
        )
        # The last evaluation of a job may lie off the grid, in a row of its own; a job that has
        # one has ended.
        regular = [row.values for row in rows if self.on_grid(row.first_iteration)]
        self.values = np.concatenate([self.values, *regular])
        self.levels.load(session, job.id, self.name, self.base + len(self.values))

    def on_grid(self, iteration: int) -> bool:
        """Whether an iteration is one of the regular ones."""
        return (iteration - self.origin) % self.stride == 0

    def add(self, first_iteration: int, new: Values) -> tuple[list[Chunk], bool]:
        """The chunks to write for these consecutive values, and whether all repeated ones agree.

        Values that are already there stay what they are, whatever comes: a loss once read never
        changes.
        """
        offset = (first_iteration - self.origin) // self.stride - self.base
        assert 0 <= offset <= len(self.values), "a gap in a series"
        old = self.values[offset : offset + len(new)]
        agree = np.array_equal(old.view(np.int32), new[: len(old)].view(np.int32))
        known = len(self.values)
        rows: list[Chunk] = []
        if len(new) > len(old):
            self.values = np.concatenate([self.values, new[len(old) :]])
            rows = list(self.chunks(known))
            self.coarser += self.levels.closed(rows)
        self.close(offset + len(new))
        return rows, agree

    def chunks(self, known: int) -> Iterator[Chunk]:
        """The chunks from the one that holds the first new value on."""
        for start in range(known - known % CHUNK_VALUES, len(self.values), CHUNK_VALUES):
            first = self.origin + (self.base + start) * self.stride
            yield Chunk(first, self.values[start : start + CHUNK_VALUES])

    def taken(self) -> list[Row]:
        """Rows of the levels that are to be written, once."""
        rows, self.coarser = self.coarser, []
        return rows

    def close(self, end: int) -> None:
        """Forgets the chunks before the one in which the next value will lie."""
        done = end - end % CHUNK_VALUES
        self.values, self.base = self.values[done:], self.base + done
