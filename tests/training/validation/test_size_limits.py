"""Ten megabytes of mistakes cost next to nothing: what is too much is counted, not read."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.training.gate import LINEAR, digits, inline, mistakes, model
from training.spec.mistakes import MAX_LISTED_COUNT
from training.validation.check import UNLIMITED, Limits, check
from training.validation.size_limits import MAX_SECTION_VALUES

MILLION = 1_000_000
HOSTILE: dict[str, tuple[Callable[[], Any], str, str]] = {
    "fields": (lambda: {f"field{i}": 1 for i in range(500_000)}, "", "limit_exceeded"),
    "fields of an optimizer": (
        lambda: digits(optimizer={"type": "sgd", **{f"f{i}": 1 for i in range(500_000)}}),
        "/optimizer",
        "limit_exceeded",
    ),
    "betas": (
        lambda: digits(optimizer={"type": "adam", "betas": ["x"] * MILLION}),
        "/optimizer",
        "limit_exceeded",
    ),
    "metadata": (
        lambda: digits(metadata={f"key{i}": i for i in range(500_000)}),
        "/metadata",
        "limit_exceeded",
    ),
    "metrics": (lambda: digits(metrics=["x"] * MILLION), "/metrics", "limit_exceeded"),
    "layers": (lambda: digits(model=["x"] * MILLION), "/model", "limit_exceeded"),
    "layers of a block": (
        lambda: model({"type": "residual", "layers": ["relu"] * 40_000}, LINEAR),
        "/model/layers",
        "limit_exceeded",
    ),
    "fields of every layer": (
        lambda: digits(model=[{**LINEAR, **{f"f{i}": 1 for i in range(1000)}}] * 900),
        "/model",
        "limit_exceeded",
    ),
    "mistakes, as many as are read": (
        lambda: digits(model=[{**LINEAR, **{f"f{i}": 1 for i in range(45)}}] * 1000),
        "/model/0/f0",
        "unknown_field",
    ),
    "fields of a data set": (
        lambda: digits(dataset={"x": [], "y": [], **{f"f{i}": 1 for i in range(500_000)}}),
        "/dataset",
        "limit_exceeded",
    ),
    "a data set that is a list": (
        lambda: digits(dataset=[1] * MILLION),
        "/dataset",
        "wrong_type",
    ),
    "numbers that are none": (
        lambda: inline(dataset={"x": [["x"] * 10] * 200_000, "y": [0, 1] * 100_000}),
        "/dataset/x/0/0",
        "wrong_type",
    ),
    "ragged rows": (
        lambda: inline(dataset={"x": [[1.0]] + [[1.0, 2.0]] * 800_000, "y": [0] * 800_001}),
        "/dataset/x/1",
        "shape_mismatch",
    ),
    "labels that are none": (
        lambda: inline(dataset={"x": [1.0] * MILLION, "y": [0.5] * MILLION}),
        "/dataset/y/0",
        "wrong_type",
    ),
    "numbers": (
        lambda: inline(dataset={"x": [1.0] * 2 * MILLION, "y": [0, 1] * MILLION}),
        "/dataset",
        "limit_exceeded",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_ten_megabytes_of_mistakes_are_refused_within_two_seconds(name: str) -> None:
    make, pointer, code = HOSTILE[name]
    raw = make()
    began = time.process_time()
    found = mistakes(raw)
    assert time.process_time() - began < 2
    assert (pointer, code) in [(m.pointer, m.code) for m in found]
    assert len(found) <= 2 * MAX_LISTED_COUNT


def test_what_is_too_much_does_not_hide_other_mistakes() -> None:
    raw = digits(metadata={f"key{i}": "" for i in range(MAX_SECTION_VALUES + 1)}, batch_size=0)
    assert [m.pointer for m in mistakes(raw)] == ["/metadata", "/batch_size"]


def test_what_was_accepted_is_not_too_much_with_its_defaults_filled_in() -> None:
    layer = {"type": "conv1d", "out_channels": 1, "kernel_size": 1}
    data = {"x": [[[1.0, 2.0]], [[2.0, 1.0]]], "y": [0, 1]}
    raw = inline(dataset=data, model=[layer] * 6000 + [{"type": "linear", "out_features": 2}])
    plan = check(raw, Limits(layers=10_000))
    stored = plan.spec.model_dump(mode="json")
    assert check(stored, UNLIMITED) == plan
    assert check(stored, Limits(layers=10_000)) == plan  # as a fork reads it
