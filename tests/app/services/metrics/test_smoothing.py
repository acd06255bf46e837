"""The running average, against the recurrence written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.metrics.smoothing import Average

VALUES = st.lists(
    st.floats(width=32, min_value=-1e6, max_value=1e6)
    | st.sampled_from([math.nan, math.inf, -math.inf]),
    min_size=1,
    max_size=60,
)


def written_out(values: list[float], weight: float) -> list[float]:
    """The average of all values up to each, the one k steps back weighing weight**k."""
    found, before = [], list[float]()
    for value in values:
        if math.isfinite(value):
            before.append(value)
            weights = [weight**k for k in reversed(range(len(before)))]
            found.append(math.fsum(map(float.__mul__, weights, before)) / math.fsum(weights))
        else:
            found.append(value)
    return found


@given(VALUES, st.sampled_from([0.0, 0.3, 0.6, 0.9, 0.99, 0.999999, 1.0]), st.integers(1, 60))
def test_it_is_the_weighted_mean_of_all_so_far(
    values: list[float], weight: float, size: int
) -> None:
    recorded, average = np.array(values, dtype=np.float32), Average(weight)
    parts = [average(recorded[i : i + size]) for i in range(0, len(values), size)]
    expected = written_out(recorded.astype(float).tolist(), weight)
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-7, atol=1e-6)


def test_how_it_is_cut_changes_no_bit() -> None:
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    whole, average = Average(0.97)(values), Average(0.97)
    parts = [average(values[i : i + 33]) for i in range(0, 500, 33)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_a_weight_of_zero_changes_nothing() -> None:
    values = np.array([3.5, -1.25, np.nan, 1e-30, np.inf], dtype=np.float32)
    assert str(Average(0.0)(values).tolist()) == str(values.astype(float).tolist())


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_place_and_spoils_nothing(odd: float) -> None:
    smoothed = Average(0.5)(np.array([1, odd, 3], dtype=np.float32)).tolist()
    assert (smoothed[0], str(smoothed[1])) == (1.0, str(odd))
    assert smoothed[2] == pytest.approx((0.5 * 1 + 3) / 1.5)
