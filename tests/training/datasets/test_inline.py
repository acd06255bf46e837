"""What the gate says about data that stand in the specification itself."""

import math
from typing import Any

import pytest

from tests.training.gate import inline, mistakes
from training.spec.mistakes import MAX_LISTED_COUNT
from training.validation.check import check

LARGE = "must be at most 3.40e+38 in size: float32 holds no more"
INLINE: dict[str, tuple[Any, list[tuple[str, str, str]]]] = {
    "NaN": (
        {"x": [[1.0, math.nan], [math.inf, 4.0]], "y": [0, 1]},
        [
            ("/dataset/x/0/1", "not_finite", "must be a finite number, not NaN or Inf"),
            ("/dataset/x/1/0", "not_finite", "must be a finite number, not NaN or Inf"),
        ],
    ),
    "too large for float32": (
        {"x": [[1.0, 1e39], [-(10**400), 4]], "y": [0, 1]},
        [
            ("/dataset/x/0/1", "not_finite", LARGE),
            ("/dataset/x/1/0", "not_finite", LARGE),
        ],
    ),
    "ragged": (
        {"x": [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]], "y": [0, 1, 0]},
        [
            ("/dataset/x/1", "shape_mismatch", "has 1 entries, but the first example has 2"),
            ("/dataset/x/2", "shape_mismatch", "has 3 entries, but the first example has 2"),
        ],
    ),
    "rows and bare numbers": (
        {"x": [[1.0, 2.0], 3.0], "y": [0, 1]},
        [("/dataset/x/1", "wrong_type", "must be a list of 2")],
    ),
    "strings": (
        {"x": [["1", 2.0], [3.0, "b"]], "y": [0, 1]},
        [
            ("/dataset/x/0/0", "wrong_type", "must be a number"),
            ("/dataset/x/1/1", "wrong_type", "must be a number"),
        ],
    ),
    "true": (
        {"x": [[1.0, True], [3, 4]], "y": [0, 1]},
        [("/dataset/x/0/1", "wrong_type", "must be a number")],
    ),
    "null and objects": (
        {"x": [[1.0, None], [{}, 4]], "y": [0, 1]},
        [
            ("/dataset/x/0/1", "wrong_type", "must be a number"),
            ("/dataset/x/1/0", "wrong_type", "must be a number"),
        ],
    ),
    "empty rows": (
        {"x": [[], []], "y": [0, 1]},
        [
            ("/dataset/x/0", "too_small", "must not be empty"),
            ("/dataset/x/1", "too_small", "must not be empty"),
        ],
    ),
    "no row": (
        {"x": [], "y": []},
        [("/dataset/x", "too_small", "at least one example is needed")],
    ),
    "one class": (
        {"x": [[1.0], [2.0]], "y": [1, 1]},
        [("/dataset/y", "one_class", "all examples have the same class")],
    ),
    "too few labels": (
        {"x": [[1.0], [2.0], [3.0]], "y": [0, 1]},
        [("/dataset/y", "length_mismatch", "x has 3 examples but y has 2")],
    ),
    "labels that are fractions": (
        {"x": [[1.0], [2.0], [3.0]], "y": [0.5, 1, True]},
        [
            ("/dataset/y/0", "wrong_type", "a class is a whole number or a string"),
            ("/dataset/y/2", "wrong_type", "a class is a whole number or a string"),
        ],
    ),
    "labels of two kinds": (
        {"x": [[1.0], [2.0]], "y": [0, "one"]},
        [("/dataset/y", "wrong_type", "classes are all numbers or all strings")],
    ),
    "missing targets": ({"x": [[1.0]]}, [("/dataset/y", "missing", "is required")]),
    "unknown field": (
        {"x": [[1.0], [2.0]], "y": [0, 1], "z": 1},
        [("/dataset/z", "unknown_field", "`z`: known are x, y")],
    ),
    "x that is no list": (
        {"x": 3, "y": [0, 1]},
        [("/dataset/x", "wrong_type", "must be a list")],
    ),
}


@pytest.mark.parametrize("name", INLINE)
def test_what_is_wrong_with_inline_data_is_told_where_it_is(name: str) -> None:
    dataset, wanted = INLINE[name]
    assert mistakes(inline(dataset=dataset)) == wanted


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        ([[1.0], [math.nan]], [("/dataset/y/1/0", "not_finite")]),
        ([[1.0], ["a"]], [("/dataset/y/1/0", "wrong_type")]),
        ([[1.0], [1.0, 2.0]], [("/dataset/y/1", "shape_mismatch")]),
        ([1.0, None], [("/dataset/y/1", "wrong_type")]),
    ],
)
def test_numbers_to_predict_are_checked_as_inputs_are(
    y: list[Any], wanted: list[tuple[str, str]]
) -> None:
    raw = inline(dataset={"x": [1.0, 2.0], "y": y}, loss="mse_loss")
    assert [mistake[:2] for mistake in mistakes(raw)] == wanted


def test_only_the_first_few_of_many_bad_numbers_are_listed() -> None:
    raw = inline(dataset={"x": [[math.nan] * 50] * 50, "y": [0, 1] * 25})
    assert len(mistakes(raw)) == 20
    assert len(mistakes({f"field{i}": 1 for i in range(5000)})) <= MAX_LISTED_COUNT + 1


def test_a_loss_that_cannot_be_read_blames_no_label() -> None:
    dataset = {"x": [[1.0], [2.0]], "y": ["a", "b"]}
    raw = inline(dataset=dataset, loss="cross_entropi", metrics=["accuracy"])
    assert mistakes(raw) == [
        ("/loss", "unknown_name", "`cross_entropi`: did you mean `cross_entropy`?")
    ]


def test_labels_may_be_strings_and_rows_bare_numbers() -> None:
    plan = check(inline(dataset={"x": [1, 2.5, 3], "y": ["b", "a", "b"]}))
    assert plan.facts.input_shape == (1,)
    assert plan.facts.target.labels == ("a", "b")  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [1e-39, -1e-320, 5e-324])
def test_data_may_be_nearer_to_0_than_float32_computes_with(value: float) -> None:
    plan = check(inline(dataset={"x": [[value, 1.0], [0.0, 2.0]], "y": [0, 1]}))
    assert plan.facts.rows == 2
