"""Fewer points, and none lost that an eye would miss."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.services.metrics.downsampling import MIN_KEPT_COUNT, Sampler
from app.services.metrics.points import Points

VALUES = st.lists(
    st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100)
    | st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf]),
    max_size=300,
)


def series(values: list[float], first: int = 0, stride: int = 1) -> Points:
    at = first + stride * np.arange(len(values), dtype=np.int64)
    return Points(at, np.array(values, dtype=np.float32))


def cut(points: Points, size: int) -> list[Points]:
    """The same points in stretches of so many."""
    at, values = points
    starts = range(0, len(at), size)
    return [Points(at[start : start + size], values[start : start + size]) for start in starts]


def sampled(stretches: list[Points], most: int, first: int, last: int) -> tuple[Points, int]:
    """The points to show, and how many there are."""
    sampler = Sampler(most, first, last)
    for stretch in stretches:
        sampler.add(stretch)
    return sampler.result(), sampler.count


def shown(values: list[float], most: int, size: int = 50) -> dict[int, float]:
    """What is kept of a series, by iteration, after a look at what always holds."""
    whole = series(values)
    points, count = sampled(cut(whole, size), most, 0, max(0, len(values) - 1))
    assert count == len(values)
    assert (np.diff(points.iterations) > 0).all()
    kept = whole.values[points.iterations]
    assert points.values.view(np.int32).tolist() == kept.view(np.int32).tolist()
    return dict(zip(points.iterations.tolist(), points.values.tolist(), strict=True))


@given(VALUES, st.integers(1, 120), st.integers(1, 90))
def test_every_extreme_is_kept_within_the_limit(values: list[float], most: int, size: int) -> None:
    kept = shown(values, most, size)
    assert len(kept) <= max(most, MIN_KEPT_COUNT)
    if not values:
        return
    assert {0, len(values) - 1} <= set(kept)
    finite = [v for v in series(values).values.tolist() if math.isfinite(v)]
    for extreme in (min, max):
        assert not finite or extreme(finite) in kept.values()
    for test in (math.isnan, lambda v: v == math.inf, lambda v: v == -math.inf):
        assert any(map(test, values)) == any(map(test, kept.values()))


@given(VALUES, st.integers(7, 60), st.integers(1, 90))
def test_how_the_series_was_cut_changes_nothing(values: list[float], most: int, size: int) -> None:
    whole, parts = shown(values, most, 1000), shown(values, most, size)
    assert str(whole) == str(parts)


@given(
    st.integers(10, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
    st.integers(1, 50),
    st.sampled_from([100.0, -100.0, math.nan, math.inf, -math.inf]),
)
def test_a_spike_is_seen_wherever_it_is(place: tuple[int, int], most: int, spike: float) -> None:
    length, at = place
    values = [float(i % 7) for i in range(length)]
    values[at] = spike
    assert str(shown(values, most)[at]) == str(spike)


def test_each_bucket_has_its_own_extremes() -> None:
    # A saw whose teeth are as wide as the buckets: forty of them in eighty points and two.
    values = [
        float(tooth + 100 * (i == 3) - 100 * (i == 7)) for tooth in range(40) for i in range(10)
    ]
    kept = shown(values, 82)
    assert all(tooth * 10 + 3 in kept and tooth * 10 + 7 in kept for tooth in range(40))
    assert len(kept) <= 82


@given(VALUES, st.integers(0, 30))
def test_what_fits_comes_whole(values: list[float], more: int) -> None:
    assert list(shown(values, len(values) + more, size=7)) == list(range(len(values)))


def test_most_of_what_may_be_shown_is_shown() -> None:
    noise = np.random.default_rng(0).normal(size=100_000).tolist()
    assert 900 <= len(shown(noise, 1000)) <= 1000
    some_lost = [math.nan if i % 997 == 0 else v for i, v in enumerate(noise)]
    assert 700 <= len(shown(some_lost, 1000)) <= 1000


def test_a_sparse_series_far_out_is_sampled_over_its_range() -> None:
    points, count = sampled([series([1.0] * 500, 10**9, 1000)], 10, 10**9, 10**9 + 499_000)
    assert (count, points.iterations[0], points.iterations[-1]) == (500, 10**9, 10**9 + 499_000)
