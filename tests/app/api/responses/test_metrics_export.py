"""A job of a million iterations is read in little memory and not much time."""

import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sqlalchemy import select

from app.api.responses.metrics_export import Source, as_arrow, as_csv
from app.database.session import Database
from app.services.metrics.reader import Selection, overview
from app.tables import Job, MetricChunk
from tests.app.database.test_session import Tenants, new_job

LENGTH = 1_000_000
MEGABYTE = 2**20


@pytest.fixture
def million(rows: Database, tenants: Tenants) -> Source:
    values = np.random.default_rng(0).normal(size=LENGTH).astype(np.float32)
    with rows.session(tenants[0]) as session:
        session.add(new_job(id="job_a", series=["loss"], iteration=LENGTH))
        session.flush()
        for first in range(0, LENGTH, 1024):
            chunk = MetricChunk(job_id="job_a", series="loss", first_iteration=first, stride=1)
            chunk.values = values[first : first + 1024]
            session.add(chunk)
    return Source(rows, tenants[0], "job_a", ["loss"], Selection())


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def seen(source: Source, selection: Selection) -> None:
    with source.database.session(source.tenant_id, write=False) as session:
        job = session.scalars(select(Job)).one()
        assert overview(session, job, source.names, selection, 1000).counts == {"loss": LENGTH}


def test_it_is_seen_at_once(million: Source) -> None:
    assert peak(lambda: seen(million, Selection())) < 20 * MEGABYTE
    began = time.process_time()
    seen(million, Selection(smooth=0.9))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("written", [as_csv, as_arrow])
def test_it_is_written_while_it_is_read(
    written: Callable[[Source], Iterator[str | bytes]], million: Source
) -> None:
    some = million._replace(selection=Selection(before=200_000))
    assert peak(lambda: [len(part) for part in written(some)]) < 20 * MEGABYTE
