"""Data that stay for the next job are those that it would be given anew."""

from typing import Any

import pytest
import torch

from tests.specifications import ONE_WEIGHT
from training.datasets.uploaded import nothing_opens
from training.tensors.data import Data, load
from training.tensors.numerics import Numerics
from training.validation.check import UNLIMITED, check
from worker.process import dataset_cache
from worker.process.dataset_cache import DatasetCache, size_bytes

NUMERICS = Numerics.on("cpu")
IRIS = {
    "dataset": "iris",
    "split": {"validation": 0.1, "test": 0.2},
    "model": [{"type": "linear", "out_features": 3}],
    "loss": "cross_entropy",
    "optimizer": "sgd",
    "iterations": 5,
}


def loaded(shelf: DatasetCache, **changes: Any) -> Data:
    return shelf.load(check(IRIS | changes, UNLIMITED), NUMERICS, nothing_opens)


def test_the_next_job_on_the_same_data_is_given_what_is_there() -> None:
    shelf = DatasetCache()
    first = loaded(shelf)
    assert loaded(shelf, iterations=3, optimizer="adam", seed=8) is first
    for name, part in load(check(IRIS), NUMERICS).parts.items():
        assert torch.equal(first.parts[name].x, part.x)
        assert torch.equal(first.parts[name].y, part.y)


@pytest.mark.parametrize(
    "changes",
    [
        {"split": {"validation": 0.1, "test": 0.2, "seed": 5}},
        {"prepare": "none"},
        {"dataset": "wine"},
        {"precision": "bf16"},
    ],
)
def test_a_job_on_other_data_is_not(changes: dict[str, Any]) -> None:
    shelf, other = DatasetCache(), check(IRIS | changes, UNLIMITED)
    numerics = Numerics.on("cpu", other.spec.precision)
    first = loaded(shelf)
    assert shelf.load(other, numerics, nothing_opens) is not first
    assert loaded(shelf) is first


def test_data_in_a_specification_are_not_kept() -> None:
    shelf, plan = DatasetCache(), check(ONE_WEIGHT)
    shelf.load(plan, NUMERICS, nothing_opens)
    assert not shelf.kept


def test_what_is_kept_is_bounded_and_what_was_used_last_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = DatasetCache()
    iris, wine = loaded(shelf), loaded(shelf, dataset="wine")
    monkeypatch.setattr(dataset_cache, "MAX_CACHED_BYTES", size_bytes(iris) + size_bytes(wine))
    assert loaded(shelf) is iris
    scaled = loaded(shelf, prepare="min_max")  # as large as the other
    assert list(shelf.kept.values()) == [iris, scaled]
    monkeypatch.setattr(dataset_cache, "MAX_CACHED_BYTES", size_bytes(wine) - 1)
    assert loaded(shelf, dataset="wine").parts.keys() == iris.parts.keys()
    assert not shelf.kept
