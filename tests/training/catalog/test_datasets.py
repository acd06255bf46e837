"""The facts in the catalogue are those of the data that scikit-learn brings."""

from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from training.catalog import BUNDLED, Classes, Values
from training.datasets.bundled import bundled

LOADERS: dict[str, Any] = {
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}


def test_every_bundled_data_set_has_its_facts() -> None:
    assert set(BUNDLED) == set(LOADERS)


@pytest.mark.parametrize("name", LOADERS)
def test_the_facts_of_a_data_set_are_what_scikit_learn_loads(name: str) -> None:
    facts, found = BUNDLED[name], LOADERS[name]()
    assert len(found.data) == facts.rows
    if isinstance(facts.target, Classes):
        assert list(facts.target.labels) == found.target_names.tolist()
        assert facts.target.counts == tuple(np.bincount(found.target))
    else:
        assert facts.target == Values(1)
    if facts.image_scale is not None:
        assert facts.input_shape == (1, *found.images.shape[1:])
        assert facts.image_scale == found.data.max()
    else:
        assert facts.input_shape == found.data.shape[1:]


@pytest.mark.parametrize("name", LOADERS)
def test_a_data_set_is_loaded_as_it_is(name: str) -> None:
    found = LOADERS[name]()
    x, y = bundled(name, BUNDLED[name])
    assert x.shape == (BUNDLED[name].rows, *BUNDLED[name].input_shape)
    assert (x.reshape(len(x), -1) == found.data).all()
    assert (y.reshape(-1) == found.target).all()
    assert y.dtype == (np.int64 if isinstance(BUNDLED[name].target, Classes) else np.float64)
