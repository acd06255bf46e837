"""The curve in the terminal."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline.terminal.plot import Axis, curve, draw


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The points of braille lines as (column, row), row 0 on top."""
    bits = [(0x01, 0, 0), (0x02, 0, 1), (0x04, 0, 2), (0x40, 0, 3)]
    bits += [(0x08, 1, 0), (0x10, 1, 1), (0x20, 1, 2), (0x80, 1, 3)]
    return {
        (2 * column + x, 4 * row + y)
        for row, line in enumerate(lines)
        for column, character in enumerate(line)
        for bit, x, y in bits
        if character != " " and (ord(character) - 0x2800) & bit
    }


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right() -> None:
    assert dots(draw([(0, 1), (1, 0)], columns=2, rows=1)) == {(0, 0), (1, 1), (2, 2), (3, 3)}


def test_neighbours_are_joined_without_a_gap() -> None:
    found = dots(draw([(0, 0), (1, 1)], columns=1, rows=5))
    assert {row for _, row in found} == set(range(20))


def test_every_column_keeps_its_smallest_and_largest_value() -> None:
    across = [n / 999 for n in range(1000)]
    up = [0.5] * 1000
    up[400], up[401] = 1.0, 0.0
    found = dots(draw(list(zip(across, up, strict=True)), columns=10, rows=4))
    assert {row for column, row in found if column == round(0.4 * 19)} == set(range(16))


def test_a_curve_of_one_value_is_one_point_in_the_middle() -> None:
    lines = curve([0], [1.0], width=30, height=5)
    assert len(dots([line.partition("┤")[2] or line.partition("│")[2] for line in lines])) == 1


@pytest.mark.parametrize(
    ("values", "logarithmic"), [([2.0, 1.0], False), ([2.0, 0.01], True), ([2.0, 0.0], False)]
)
def test_the_axis_is_logarithmic_where_the_values_span_much(
    values: list[float], logarithmic: bool
) -> None:
    assert curve([0, 1], values) == curve([0, 1], values, log=logarithmic)


def test_round_values_stand_beside_the_row_they_belong_to() -> None:
    lines = curve(range(5), [100.0, 31.0, 10.0, 3.1, 1.0], width=40, height=9, log=True)
    names = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert names == ["100", "10", "1"]
    assert [row for row, line in enumerate(lines) if "┤" in line] == [0, 4, 8]


def test_the_foot_names_the_iterations() -> None:
    foot = curve(range(4000), [1.0] * 4000)[-1]
    assert foot.split() == ["0", "1000", "2000", "3000", "iteration"]


def test_values_that_are_not_finite_are_left_out() -> None:
    with_holes = curve([0, 1, 2, 3], [4.0, math.nan, math.inf, 1.0])
    assert with_holes == curve([0, 3], [4.0, 1.0])


def test_nothing_to_draw_is_said() -> None:
    assert curve([0], [math.nan]) == ["(there is no finite value to draw)"]
    assert curve([], []) == ["(there is no finite value to draw)"]


# The range of the losses that are stored: float32.
losses = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(st.lists(losses, min_size=1, max_size=50), st.sampled_from([None, True, False]))
def test_any_series_fits_its_frame(values: list[float], log: bool | None) -> None:
    lines = curve(range(len(values)), values, width=60, height=8, log=log)
    assert len(lines) in {1, 10}
    assert all(len(line) <= 60 for line in lines)


@given(st.floats(1e-40, 1e30), st.floats(1.001, 1e9), st.booleans(), st.integers(2, 12))
def test_ticks_are_few_ascending_and_within_the_axis(
    low: float, ratio: float, log: bool, most: int
) -> None:
    axis = Axis(low, low * ratio, log)
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert all(-1e-6 <= axis.place(tick) <= 1 + 1e-6 for tick in ticks)
