"""Paging through recorded series, on chunks of every shape."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.database.session import Database
from app.errors import Invalid
from app.services.metrics.reader import Selection, overview, read
from app.tables import Job, MetricChunk
from tests.app.database.test_session import Tenants, new_job

Chunks = list[tuple[int, int, int]]
"""First iteration, stride and length of each."""


def put(rows: Database, tenant_id: str, series: dict[str, Chunks]) -> dict[str, list[int]]:
    """Records them; the values are the iterations themselves, which are returned."""
    with rows.session(tenant_id) as session:
        session.execute(delete(Job))
        session.add(new_job(id="job_a", series=list(series)))
        session.flush()
        known = {}
        for name, chunks in series.items():
            known[name] = list[int]()
            for first, stride, length in chunks:
                at = first + stride * np.arange(length)
                known[name] += at.tolist()
                where: dict[str, Any] = {"job_id": "job_a", "series": name}
                session.add(
                    MetricChunk(
                        **where,
                        first_iteration=first,
                        stride=stride,
                        values=at.astype(np.float32),
                    )
                )
    return known


def walked(rows: Database, names: list[str], after: int | None, limit: int) -> dict[str, list[int]]:
    """What a client has after the last page, having looked at each."""
    found: dict[str, list[int]] = {name: [] for name in names}
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        while True:
            page = read(session, job, names, Selection(after), limit)
            for name, points in page.series.items():
                assert len(points.iterations) == len(points.values) <= limit
                assert points.values.tolist() == points.iterations.tolist()
                found[name] += points.iterations.tolist()
            if page.next_after is None:
                return found
            assert after is None or page.next_after > after
            after = page.next_after


def regular(first: int, stride: int, sizes: list[int]) -> Chunks:
    """Chunks that follow each other, as a worker writes them."""
    chunks = []
    for size in sizes:
        chunks.append((first, stride, size))
        first += stride * size
    return chunks


CHUNKS = st.builds(
    regular, st.integers(0, 9), st.integers(1, 9), st.lists(st.integers(1, 12), max_size=5)
)


def test_the_pages_are_the_whole_however_it_is_cut(rows: Database, tenants: Tenants) -> None:
    @settings(max_examples=40)
    @given(CHUNKS, CHUNKS, st.none() | st.integers(-1, 120), st.integers(1, 40))
    def check(one: Chunks, two: Chunks, after: int | None, limit: int) -> None:
        known = put(rows, tenants[0], {"loss": one, "validation_loss": two})
        expected = {
            name: [n for n in ns if after is None or n > after] for name, ns in known.items()
        }
        assert walked(rows, ["loss", "validation_loss"], after, limit) == expected

    check()


def test_a_last_evaluation_off_the_grid_has_a_chunk_of_its_own(
    rows: Database, tenants: Tenants
) -> None:
    chunks = [(7, 7, 8), (60, 7, 1)]
    known = put(rows, tenants[0], {"loss": regular(0, 1, [60]), "validation_loss": chunks})
    for limit in (1, 3, 8, 60):
        assert walked(rows, ["loss", "validation_loss"], None, limit) == known


def test_a_series_that_is_asked_for_twice_comes_once(rows: Database, tenants: Tenants) -> None:
    put(rows, tenants[0], {"loss": regular(0, 1, [3])})
    with rows.session(write=False) as session:
        page = read(session, session.scalars(select(Job)).one(), ["loss", "loss"], Selection(), 10)
    assert list(page.series) == ["loss"]


def test_every_unknown_series_is_named(rows: Database, tenants: Tenants) -> None:
    put(rows, tenants[0], {"loss": []})
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        with pytest.raises(Invalid) as refused:
            read(session, job, ["los", "loss", "x"], Selection(), 10)
    assert [mistake.message for mistake in refused.value.errors] == [
        "`los`: did you mean `loss`?",
        "`x`: known are loss",
    ]


# -- what can be seen


def test_a_selection_is_cut_at_both_ends_whatever_the_chunks(
    rows: Database, tenants: Tenants
) -> None:
    known = put(rows, tenants[0], {"loss": regular(2, 3, [2, 1, 3])})["loss"]
    ends = [None, *range(known[-1] + 3)]
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        for after, before in itertools.product(ends, ends):
            page = read(session, job, ["loss"], Selection(after, before), 1000)
            low, high = -1 if after is None else after, 1000 if before is None else before
            expected = [n for n in known if low < n < high]
            assert page.series["loss"].iterations.tolist() == expected, (after, before)
            assert page.next_after is None


def test_a_smoothed_value_does_not_depend_on_what_is_selected(
    rows: Database, tenants: Tenants
) -> None:
    put(rows, tenants[0], {"loss": regular(0, 1, [40, 40, 40])})
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        whole = read(session, job, ["loss"], Selection(smooth=0.9), 1000).series["loss"]
        part = read(session, job, ["loss"], Selection(50, 90, 0.9), 1000).series["loss"]
        page = read(session, job, ["loss"], Selection(50, 90, 0.9), 7).series["loss"]
    assert part.iterations.tolist() == list(range(51, 90))
    assert part.values.tolist() == whole.values[51:90].tolist()
    assert page.values.tolist() == whole.values[51:58].tolist()


def test_it_is_smoothed_first_and_sampled_then(rows: Database, tenants: Tenants) -> None:
    put(rows, tenants[0], {"loss": regular(0, 1, [1000, 1000])})
    with rows.session() as session:
        job = session.scalars(select(Job)).one()
        job.iteration = 2000
        whole = read(session, job, ["loss"], Selection(smooth=0.9), 2000).series["loss"]
        seen = overview(session, job, ["loss"], Selection(smooth=0.9), 20)
    points = seen.series["loss"]
    assert 10 <= len(points.iterations) <= 20
    assert points.values.tolist() == whole.values[points.iterations].tolist()
    assert seen.counts == {"loss": 2000}
