"""Series: chunks of 1 024, added once, compared when repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.services.metrics.series_writer import SeriesWriter
from app.tables.metric import CHUNK_VALUES

Floats = NDArray[np.float32]


def numbers(start: int, stop: int) -> Floats:
    return np.arange(start, stop, dtype=np.float32)


def stored(series: SeriesWriter, first: int, values: Floats, chunks: dict[int, Floats]) -> bool:
    """Adds values and keeps the chunks as the database would."""
    rows, agree = series.add(first, values)
    chunks.update({row.first_iteration: row.values for row in rows})
    return agree


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=8))
def test_any_cut_into_blocks_leaves_the_same_chunks(lengths: list[int]) -> None:
    series, chunks, done = SeriesWriter("loss", 0, 1), dict[int, Floats](), 0
    for length in lengths:
        stored(series, done, numbers(done, done + length), chunks)
        done += length
    assert sorted(chunks) == list(range(0, done, CHUNK_VALUES))
    whole = np.concatenate([chunks[first] for first in sorted(chunks)])
    assert np.array_equal(whole, numbers(0, done))


@pytest.mark.parametrize("resume_at", [0, 1, 1023, 1024, 1025, 2400, 2500])
def test_repeated_values_are_compared_and_only_new_ones_added(resume_at: int) -> None:
    series = SeriesWriter("loss", 0, 1)
    series.base = resume_at - resume_at % CHUNK_VALUES
    series.values = numbers(series.base, 2500)
    chunks: dict[int, Floats] = {}
    for start in range(resume_at, 3000, 100):
        assert stored(series, start, numbers(start, min(start + 100, 3000)), chunks)
    assert sorted(chunks) == [2048]
    assert np.array_equal(chunks[2048], numbers(2048, 3000))


def test_a_repeated_value_that_differs_is_noticed_and_changes_nothing() -> None:
    series = SeriesWriter("loss", 0, 1)
    series.add(0, numbers(0, 10))
    rows, agree = series.add(5, np.array([5, 6, 99, 8, 9, 10], dtype=np.float32))
    assert not agree
    assert np.array_equal(rows[0].values, numbers(0, 11))


def test_equal_means_equal_bits() -> None:
    series = SeriesWriter("loss", 0, 1)
    series.add(0, np.array([np.nan, 0.0], dtype=np.float32))
    assert series.add(0, np.array([np.nan, 0.0], dtype=np.float32))[1]
    assert not series.add(1, np.array([-0.0], dtype=np.float32))[1]


def test_evaluations_lie_on_a_grid_of_their_own() -> None:
    series = SeriesWriter("validation_loss", 20, 20)
    assert [n for n in range(101) if series.on_grid(n)] == [0, 20, 40, 60, 80, 100]
    rows, _ = series.add(20, numbers(0, 1))
    assert rows[0].first_iteration == 20
    rows, _ = series.add(40, numbers(1, 2))
    assert (rows[0].first_iteration, len(rows[0].values)) == (20, 2)


def test_a_gap_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="gap"):
        SeriesWriter("loss", 0, 1).add(1, numbers(1, 2))
