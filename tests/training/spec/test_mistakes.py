"""Arbitrary JSON gets a plan or its mistakes, each pointing into it, and nothing else."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.gate import CONV, FIELDS, gate, inline

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_subnormal=False)  # this process flushes them
    | st.text(max_size=8)
    | st.sampled_from(
        ["full", "same", "sgd", "adam", "relu", "linear", "cosine", "mse_loss", "x", "y", "type"]
    )
)
KEYS = sorted(
    {*FIELDS.split(", "), "x", "y", "layers", "type", "lr", "betas", "p", "name", "init", "value"}
    | {"out_features", "kernel_size", "padding", "patience", "metric", "tolerance", "sgd", "inline"}
)
keys = st.sampled_from(KEYS) | st.text(max_size=5)
json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=200)
@given(json)
def test_arbitrary_json_gets_mistakes_and_nothing_else(raw: Any) -> None:
    gate(raw)


def replaced(places: list[list[Any]]) -> Callable[[Any], st.SearchStrategy[Any]]:
    """Specifications that are right but for a few places."""

    def build(base: Any) -> st.SearchStrategy[Any]:
        change = st.tuples(st.sampled_from(places), json)
        return st.lists(change, min_size=1, max_size=3).map(lambda c: changed(base, c))

    return build


def changed(base: Any, changes: list[tuple[list[Any], Any]]) -> Any:
    """``base`` with other values at some places, where these still exist."""
    base = copy.deepcopy(base)
    for path, value in changes:
        at = base
        for step in path[:-1]:
            if not isinstance(at, dict | list) or (isinstance(at, dict) and step not in at):
                break
            if isinstance(at, list) and not (isinstance(step, int) and step < len(at)):
                break
            at = at[step]
        if isinstance(at, dict) or (
            isinstance(at, list) and isinstance(path[-1], int) and path[-1] < len(at)
        ):
            at[path[-1]] = value
    return base


PLACES: list[list[Any]] = [
    *([key] for key in FIELDS.split(", ")),
    *(["optimizer", key] for key in ("type", "lr", "momentum", "nesterov", "betas", "sgd", "x")),
    *(["model", i, key] for i in (0, 1, 2) for key in ("type", "init", "bias", "name", "padding")),
    *(["model", 0, key] for key in ("out_channels", "kernel_size", "stride", "dilation", "groups")),
    *(["dataset", key] for key in ("x", "y", "z")),
    ["dataset", "x", 0],
    ["dataset", "x", 1, 0],
    ["dataset", "y", 1],
    ["split", "test"],
]
ALMOST = inline(
    dataset={"x": [[[[1.0, 2.0, 3.0]] * 3]] * 2, "y": [0, 1]},
    model=[CONV, {"type": "batch_norm2d"}, {"type": "linear", "out_features": 2}],
    split={},
)


@settings(max_examples=300)
@given(replaced(PLACES)(ALMOST))
def test_almost_right_json_gets_a_plan_or_mistakes(raw: Any) -> None:
    gate(raw)


@pytest.mark.parametrize("depth", [9, 40, 70, 1000])
@pytest.mark.parametrize("section", ["dataset", "x", "y", "model", "loss", "lr", "metadata"])
def test_deep_nesting_is_refused(section: str, depth: int) -> None:
    deep: Any = 1.0
    for _ in range(depth):
        deep = [deep]
    raw: Any = inline()
    if section in "xy":
        raw["dataset"][section] = deep
    elif section == "lr":
        raw["optimizer"] = {"type": "sgd", "lr": deep}
    else:
        raw[section] = deep
    assert gate(raw) is None
