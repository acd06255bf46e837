"""Whole series as files: CSV and Arrow, written while they are read, in bounded memory.

A table has a row an iteration at which any of the series has a point, and no value where one of
them has none.
"""

import math
from collections.abc import Iterator
from functools import reduce
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from app.database.session import DATABASE_UNAVAILABLE, Database
from app.errors import NotFound
from app.services.jobs import job_repository
from app.services.metrics import reader
from app.services.metrics.points import Points
from app.services.metrics.reader import Curves, Selection

log = structlog.get_logger()

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
PAGE_VALUES = 16_384
"""Points of a series that are held at a time."""


class Source(NamedTuple):
    """The series to write. Each page is a short transaction, however slowly a client reads."""

    database: Database
    tenant_id: str
    job_id: str
    names: list[str]
    selection: Selection

    def pages(self) -> Iterator[dict[str, Points]]:
        """What is recorded by now, a page at a time, all series to the same iteration."""
        selection: Selection | None = self.selection
        while selection is not None:
            page = self.page(selection)
            yield page.series
            after = page.next_after
            selection = None if after is None else selection._replace(after=after)

    def page(self, selection: Selection) -> Curves:
        """One page; raises ``ClientDisconnect`` when the job is gone or the database away.

        The answer has begun, so nothing can be said any more but by breaking off: a file that ended
        in order would be taken for the whole.
        """
        try:
            with self.database.session(self.tenant_id, write=False) as session:
                job = job_repository.get(session, self.job_id)
                return reader.read(session, job, self.names, selection, PAGE_VALUES)
        except (NotFound, *DATABASE_UNAVAILABLE) as error:
            log.warning("file broken off", job_id=self.job_id, reason=type(error).__name__)
            raise ClientDisconnect from error


def as_csv(source: Source) -> Iterator[str]:
    """``iteration,loss,…``; what is not finite is NaN, Infinity or -Infinity."""
    yield ",".join(["iteration", *source.names]) + "\r\n"
    for page in source.pages():
        rows, places = aligned(page)
        columns = [column(len(rows), page[name], places[name]) for name in source.names]
        lines = zip(map(str, rows.tolist()), *columns, strict=True)
        yield "".join(",".join(line) + "\r\n" for line in lines)


def column(length: int, points: Points, places: NDArray[np.intp]) -> list[str]:
    """The cells of one series."""
    cells = [""] * length
    for place, value in zip(places.tolist(), points.values.astype(float).tolist(), strict=True):
        cells[place] = cell(value)
    return cells


def cell(value: float) -> str:
    """A number as CSV readers take it, with every digit that it has."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def as_arrow(source: Source) -> Iterator[bytes]:
    """An Arrow IPC stream: ``iteration`` int64, each series float32; null where it has no point."""
    fields = [("iteration", pa.int64()), *((name, pa.float32()) for name in source.names)]
    schema, sink = pa.schema(fields), BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        for page in source.pages():
            writer.write_batch(pa.record_batch(arrays(page, source.names), schema=schema))
            yield drained(sink)
    yield drained(sink)


def arrays(page: dict[str, Points], names: list[str]) -> list[pa.Array]:
    """The columns of a page."""
    rows, places = aligned(page)
    found = [pa.array(rows)]
    for name in names:
        values, missing = np.zeros(len(rows), dtype=np.float32), np.ones(len(rows), dtype=bool)
        values[places[name]], missing[places[name]] = page[name].values, False
        found.append(pa.array(values, mask=missing))
    return found


def drained(sink: BytesIO) -> bytes:
    """What was written since the last time."""
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content


def aligned(page: dict[str, Points]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.intp]]]:
    """The iterations of all series together, and in which of these rows each has its points."""
    rows = reduce(np.union1d, [points.iterations for points in page.values()])
    return rows, {name: np.searchsorted(rows, p.iterations) for name, p in page.items()}
