"""Uploaded tables in the engine: one-hot rows, fitted on the training rows, in bounded memory."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.specifications import Specification
from tests.training.small_jobs import FLOAT32, FLOAT64, Job, stepped
from training.catalog import Column
from training.datasets.array_file import layout, mapped
from training.datasets.uploaded import Encoded, Table, shown
from training.spec.mistakes import Mistakes
from training.tensors.data import load
from training.tensors.numerics import Numerics
from training.validation.check import check

COLUMNS = (
    Column("a", "numeric"),
    Column("city", "categorical", ("Bergen", "Oslo"), missing=True),
    Column("b", "numeric"),
    Column("on", "boolean", ("false", "true")),
)
ROWS = 60
DATASET = "ds_0"


def arrays(rows: int = ROWS) -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(0)
    numeric = draw.normal([3, -50], [2, 20], (rows, 2))
    numeric[::7, 0] = np.nan
    codes = np.stack([draw.integers(-1, 2, rows), draw.integers(0, 2, rows)], 1).astype(np.int32)
    labels = (np.nan_to_num(numeric[:, 0]) + codes[:, 1] > 3).astype(np.int32)
    return {"numeric": numeric, "codes": codes, "labels": labels, "target": 2.5 * labels}


def written(path: Path, found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays through a file."""
    kinds = {"f": "F64", "i": "I32"}
    header, places = layout({n: (kinds[v.dtype.kind], v.shape) for n, v in found.items()})
    with path.open("wb") as file:
        file.write(header)
        for name, place in places.items():
            file.seek(place.offset)
            file.write(found[name].tobytes())
    return mapped(path)


def table(found: dict[str, NDArray[Any]]) -> Table:
    counts = np.bincount(found["labels"]).tolist()
    rows = len(found["labels"])
    return Table(rows, COLUMNS, "y", numbers=True, labels=(0, 1), counts=tuple(counts))


def specification(**sections: Any) -> Specification:
    return {
        "dataset": DATASET,
        "split": {"validation": 0.2, "test": 0.1},
        "model": [
            {"type": "linear", "out_features": 8},
            "tanh",
            {"type": "dropout", "p": 0.2},
            {"type": "linear", "out_features": 2},
        ],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": 0.02},
        "batch_size": 8,
        "iterations": 40,
        **sections,
    }


def ready(found: dict[str, NDArray[Any]], numerics: Numerics = FLOAT32, **sections: Any) -> Job:
    plan = check(specification(**sections), stored=lambda _: table(found))
    return Job(plan, load(plan, numerics, lambda _: found), numerics)


def test_what_was_written_comes_back_from_the_file(tmp_path: Path) -> None:
    found = arrays()
    again = written(tmp_path / "table", found)
    assert set(again) == set(found)
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values)
        assert not again[name].flags.writeable


def test_rows_are_numbers_and_one_input_a_category() -> None:
    found = {
        "numeric": np.array([[1.5, 2.0], [np.nan, -1.0]]),
        "codes": np.array([[1, 0], [-1, 1]], dtype=np.int32),
    }
    x = Encoded(found, COLUMNS)
    rows = [[1.5, 0, 1, 0, 2.0, 1, 0], [np.nan, 0, 0, 1, -1.0, 0, 1]]
    np.testing.assert_equal(x[:], rows)
    np.testing.assert_equal(x[np.array([1, 0, 1])], [rows[1], rows[0], rows[1]])
    np.testing.assert_equal(x[1], rows[1])
    assert len(x) == 2
    assert shown(found, COLUMNS, 0) == {"a": 1.5, "city": "Oslo", "b": 2, "on": False}
    assert shown(found, COLUMNS, 1) == {"a": None, "city": None, "b": -1, "on": True}


@pytest.mark.parametrize("method", ["standardize", "min_max", "none"])
def test_numbers_are_prepared_by_the_training_rows_and_categories_left_alone(method: str) -> None:
    found = arrays()
    job = ready(found, FLOAT64, prepare=method)
    train = found["numeric"][job.data.parts["train"].rows]
    mean, low = np.nanmean(train, 0), np.nanmin(train, 0)
    extent = np.nanmax(train, 0) - low
    shift, scale = {
        "standardize": (mean, np.nanstd(train, 0)),
        "min_max": (low, extent),
        "none": (np.zeros(2), np.ones(2)),
    }[method]
    preparation = job.data.preparation
    np.testing.assert_allclose(preparation.x_shift[[0, 4]], shift, rtol=1e-12)
    np.testing.assert_allclose(preparation.x_scale[[0, 4]], scale, rtol=1e-12)
    np.testing.assert_allclose(preparation.x_fill[[0, 4]], mean, rtol=1e-12)
    assert (preparation.x_shift[[1, 2, 3, 5, 6]] == 0).all()
    assert (preparation.x_scale[[1, 2, 3, 5, 6]] == 1).all()
    for part in job.data.parts.values():
        wanted = np.where(np.isnan(found["numeric"]), mean, found["numeric"])[part.rows]
        np.testing.assert_allclose(part.x[:, [0, 4]], (wanted - shift) / scale, rtol=1e-9)
        assert set(part.x[:, [1, 2, 3, 5, 6]].flatten().tolist()) == {0.0, 1.0}
        np.testing.assert_array_equal(part.y, found["labels"][part.rows])


def test_a_column_that_is_missing_in_every_training_row_is_zero() -> None:
    found = arrays()
    found["numeric"][:, 0] = np.nan
    x = ready(found).data.parts["train"].x
    assert (x[:, 0] == 0).all()
    assert torch.isfinite(x).all()


def test_a_job_on_a_table_resumes_to_the_bit(tmp_path: Path) -> None:
    job = ready(written(tmp_path / "table", arrays()))
    whole = stepped(job)
    for checkpoint in whole.checkpoints[:-1:13]:
        rest = stepped(ready(arrays()), start=checkpoint)
        assert rest.bits()[2:] == whole.bits()[2:]
        assert whole.losses.tobytes().endswith(rest.losses.tobytes())


def test_the_loss_decides_what_a_target_of_whole_numbers_is() -> None:
    found = arrays()
    assert ready(found).plan.task == "classification"
    model = [{"type": "linear", "out_features": 1}]
    job = ready(found, FLOAT64, loss="mse_loss", model=model, prepare="none")
    assert job.plan.task == "regression"
    part = job.data.parts["train"]
    np.testing.assert_array_equal(part.y[:, 0], found["target"][part.rows])


def test_a_class_that_would_not_be_trained_on_is_a_mistake_of_the_split() -> None:
    found = arrays()
    found["labels"][:] = 0
    found["labels"][0] = 1
    with pytest.raises(Mistakes) as refused:
        ready(found, split={"test": 0.99})
    assert [m.code for m in refused.value.mistakes] == ["class_absent"]


def test_loading_holds_a_small_part_of_the_table_beside_the_result(tmp_path: Path) -> None:
    rows, columns = 300_000, 20
    names = tuple(Column(f"c{i}", "numeric") for i in range(columns))
    values = np.random.default_rng(0).normal(size=(rows, columns))
    found = written(
        tmp_path / "table",
        {
            "numeric": values,
            "codes": np.empty((rows, 0), dtype=np.int32),
            "target": values.sum(1),
        },
    )
    size = values.nbytes
    del values
    plan = check(
        specification(loss="mse_loss", model=[{"type": "linear", "out_features": 1}]),
        stored=lambda _: Table(rows, names, "y", numbers=True),
    )
    tracemalloc.start()
    data = load(plan, FLOAT32, lambda _: found)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data.parts["train"].x.shape == (210_000, columns)
    assert most < size, f"{most / 1e6:.0f} MB beside {size / 1e6:.0f} MB"
