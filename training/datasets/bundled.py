"""The data sets that scikit-learn brings, read from its files without importing it.

The import would cost every process that trains, replays or shows an example 1.7 s of CPU and a
hundred megabytes, for parsing five small tables. A test holds each against scikit-learn's loader.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.catalog import Classes, Facts

# A closed set: no user's word becomes a path. Digits alone has no header line.
FILES = {
    "digits": "digits.csv.gz",
    "iris": "iris.csv",
    "wine": "wine_data.csv",
    "breast_cancer": "breast_cancer.csv",
}


@cache
def bundled(name: str, facts: Facts) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """x [N, *shape] float64, and y [N] int64 or [N, width] float64."""
    if isinstance(facts.target, Classes):
        table = np.loadtxt(folder() / FILES[name], delimiter=",", skiprows=int(name != "digits"))
        return table[:, :-1].reshape(-1, *facts.input_shape), table[:, -1].astype(np.int64)
    x = np.loadtxt(folder() / "diabetes_data_raw.csv.gz")
    y = np.loadtxt(folder() / "diabetes_target.csv.gz")
    return unit_columns(x), y.reshape(-1, facts.target.width)


def folder() -> Path:
    """Where scikit-learn keeps its data."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data"


def unit_columns(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every column centred and of length 1, as ``load_diabetes`` gives them."""
    columns: NDArray[np.float64] = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(len(x))
    return columns
