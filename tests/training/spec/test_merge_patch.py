"""Merging changes into a specification."""

import copy
from typing import Any

import pytest

from training.spec.merge_patch import merged

BASE: dict[str, Any] = {
    "loss": "mse_loss",
    "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
    "split": {"validation": 0.1},
    "model": ["relu"],
    "epochs": None,
    "iterations": 10,
    "metadata": {"a": "1", "b": "2"},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"seed": 3}, {"seed": 3}),
        ({"optimizer": {"lr": 1}}, {"optimizer": {"type": "sgd", "lr": 1, "momentum": 0.9}}),
        ({"optimizer": {"type": "sgd", "lr": 1}}, {"optimizer": BASE["optimizer"] | {"lr": 1}}),
        ({"optimizer": {"type": "adam"}}, {"optimizer": {"type": "adam"}}),
        ({"optimizer": "adam"}, {"optimizer": "adam"}),
        ({"loss": {"reduction": "sum"}}, {"loss": {"type": "mse_loss", "reduction": "sum"}}),
        ({"split": {"test": 0.2}}, {"split": {"validation": 0.1, "test": 0.2}}),
        ({"model": {"layers": []}}, {"model": {"layers": []}}),
        ({"metadata": {"a": None, "c": "3"}}, {"metadata": {"b": "2", "c": "3"}}),
    ],
)
def test_what_is_not_mentioned_stays(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(BASE)
    found = merged(BASE, changes)
    assert before == BASE
    assert found == merged(BASE, {}) | expected


def test_iterations_and_epochs_take_each_others_place() -> None:
    assert merged(BASE, {"epochs": 2})["epochs"] == 2
    assert "iterations" not in merged(BASE, {"epochs": 2})
    assert "iterations" not in merged(BASE, {"iterations": None})
    both = merged(BASE, {"iterations": 1, "epochs": 2})
    assert (both["iterations"], both["epochs"]) == (1, 2)  # for the check to point at
