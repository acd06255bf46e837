"""Data: split evenly, prepared by what the training split says."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.specifications import Specification
from tests.training.small_jobs import FLOAT64, cnn, images, ready, regression, table
from training.catalog import BUNDLED, Classes
from training.datasets.splits import dealt, shares
from training.spec.job_spec import Split
from training.spec.mistakes import Mistakes
from training.spec.plan import Plan
from training.tensors.data import Data, UnfitData, fit, load, raw, split
from training.validation.check import check

OUTPUTS = {"digits": 10, "iris": 3, "wine": 3, "breast_cancer": 2, "diabetes": 1}


def plan_of(dataset: Any, outputs: int, **sections: Any) -> Plan:
    """A plan for these data."""
    return check(
        {
            "dataset": dataset,
            "model": [{"type": "linear", "out_features": outputs}],
            "loss": "cross_entropy",
            "optimizer": "sgd",
            "iterations": 1,
            **sections,
        }
    )


def whole(plan: Plan) -> tuple[Any, Any]:
    """All rows of the data, unprepared."""
    x, y = raw(plan)
    return x[:], y


def splits(plan: Plan) -> dict[str, list[int]]:
    """Row numbers of each split."""
    return {name: rows.tolist() for name, rows in split(plan, raw(plan)[1]).items()}


# Splits.


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.15, 0.15), (0.0, 0.3), (0.3, 0.0), (0.33, 0.33)])
def test_splits_are_exact_disjoint_and_cover_the_data(
    name: str, shares: tuple[float, float]
) -> None:
    validation, test = shares
    loss = "mse_loss" if name == "diabetes" else "cross_entropy"
    plan = plan_of(
        name, OUTPUTS[name], loss=loss, split={"validation": validation, "test": test, "seed": 3}
    )
    found = splits(plan)
    rows = BUNDLED[name].rows
    assert sorted(itertools.chain(*found.values())) == list(range(rows))
    assert len(found["validation"]) == round(rows * validation) == plan.rows["validation"]
    assert len(found["test"]) == round(rows * test) == plan.rows["test"]
    assert all(indices == sorted(indices) for indices in found.values())


@settings(max_examples=100)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.integers(0, 45),
    st.integers(0, 45),
    st.integers(0, 5),
)
def test_every_class_gets_its_share_to_within_one_row(
    sizes: list[int], validation: int, test: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    held_back = Split(validation=validation / 100, test=test / 100, seed=seed)
    rows = shares(held_back, len(labels))
    left, found = np.array(sizes), dealt(sizes, rows)
    for name in ("test", "validation"):  # in this order, each from what the one before left
        assert found[name].sum() == rows[name]
        assert (np.abs(found[name] - left * rows[name] / left.sum()) < 1 + 1e-9).all()
        left = left - found[name]
    assert (found["train"] == left).all()
    assume(all(getattr(held_back, name) == 0 or rows[name] for name in ("test", "validation")))
    dataset = {"x": [0.5] * len(labels), "y": labels.tolist()}
    if not found["train"].all():
        with pytest.raises(Mistakes, match="no example to train on of class"):
            plan_of(dataset, len(sizes), split=held_back.model_dump())
        return
    plan = plan_of(dataset, len(sizes), split=held_back.model_dump())
    for name, indices in splits(plan).items():
        assert (np.bincount(labels[indices], minlength=len(sizes)) == found[name]).all()


def test_a_class_that_nobody_counted_is_missed_when_the_data_are_read() -> None:
    plan = plan_of("iris", 3, split={"test": 0.3})
    uncounted = Classes((*BUNDLED["iris"].target.labels, "unheard"))  # type: ignore[union-attr]
    plan = replace(plan, facts=replace(plan.facts, target=uncounted))
    with pytest.raises(UnfitData, match="no example to train on of class `unheard`") as refused:
        load(plan, FLOAT64)
    assert refused.value.code == "class_absent"


def test_balanced_weights_are_counted_on_the_training_split() -> None:
    y = ["rare"] * 4 + ["often"] * 36
    job = ready(
        regression(
            dataset={"x": table(40, 3), "y": y},
            split={"test": 0.25},
            loss={"type": "cross_entropy", "weight": "balanced"},
        ),
        FLOAT64,
    )
    assert job.data.class_counts.tolist() == [27, 3]
    assert job.training().feed.loss_weights["class"].tolist() == [30 / (2 * 27), 30 / (2 * 3)]


def test_a_split_depends_on_its_own_seed_alone() -> None:
    def rows(split_seed: int, **sections: Any) -> dict[str, list[int]]:
        shares = {"validation": 0.2, "test": 0.2, "seed": split_seed}
        return splits(plan_of("iris", 3, split=shares, **sections))

    base = rows(0)
    assert rows(0, seed=9, batch_size=7, optimizer="adam") == base
    assert rows(1) != base


# Preparation.


def prepared(specification: Specification) -> Data:
    """The data of a job, in float64."""
    return ready(specification, FLOAT64).data


def table_job(x: Any, method: str | None, **sections: Any) -> Specification:
    """A regression on a table of made-up numbers."""
    y = sections.pop("y", table(len(x), 2, seed=1))
    return regression(dataset={"x": x, "y": y}, prepare=method, **sections)


def test_standardize_gives_mean_zero_and_deviation_one_on_the_training_split() -> None:
    data = prepared(table_job((5 + 3 * np.array(table(40, 3))).tolist(), "standardize"))
    train = data.parts["train"]
    for tensor in (train.x, train.y):
        assert tensor.mean(0).abs().max() < 1e-12
        torch.testing.assert_close(tensor.std(0, correction=0), torch.ones_like(tensor[0]))
    assert data.parts["validation"].x.mean(0).abs().max() > 1e-3


def test_min_max_puts_the_training_split_between_zero_and_one() -> None:
    data = prepared(table_job(table(40, 3), "min_max"))
    x = data.parts["train"].x
    assert (x.min(0).values == 0).all()
    assert (x.max(0).values == 1).all()
    assert (data.preparation.y_scale == 1).all()


@pytest.mark.parametrize("method", [None, "none"])
def test_inline_data_are_left_alone_unless_told_otherwise(method: str | None) -> None:
    x = table(40, 3)
    part = prepared(table_job(x, method)).parts["train"]
    assert (part.x.numpy() == np.array(x)[part.rows]).all()
    assert (part.y.numpy() == np.array(table(40, 2, seed=1))[part.rows]).all()


@pytest.mark.parametrize("method", ["standardize", "min_max"])
def test_a_preparation_is_fitted_on_the_training_split_only(method: str) -> None:
    x = np.array(table(40, 3))
    base = prepared(table_job(x.tolist(), method))
    held_back = np.concatenate([base.parts["validation"].rows, base.parts["test"].rows])
    x[held_back] = 1000.0
    again = prepared(table_job(x.tolist(), method))
    for name, values in vars(base.preparation).items():
        assert (values == vars(again.preparation)[name]).all()
    assert (base.parts["train"].x == again.parts["train"].x).all()
    assert (base.parts["test"].x != again.parts["test"].x).all()


@pytest.mark.parametrize("method", ["standardize", "min_max"])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e-200, -7.3])
def test_a_feature_that_never_changes_keeps_its_scale(method: str, constant: float) -> None:
    x = np.array(table(40, 3))
    x[:, 1] = constant
    data = prepared(table_job(x.tolist(), method))
    assert data.preparation.x_scale[1] == 1
    assert data.parts["train"].x[:, 1].abs().max() < 1e-12


def test_a_feature_too_small_for_a_deviation_is_not_divided_by_zero() -> None:
    x = np.array(table(40, 3))
    x[:, 1] *= 1e-200
    data = prepared(table_job(x.tolist(), "standardize"))
    assert torch.isfinite(data.parts["train"].x).all()


def test_a_constant_target_keeps_its_scale() -> None:
    data = prepared(table_job(table(40, 3), "standardize", y=[[0.1, i] for i in range(40)]))
    assert data.preparation.y_scale[0] == 1


def test_tables_are_standardised_unless_told_otherwise() -> None:
    plan = plan_of("diabetes", 1, loss="mse_loss")
    x, y = whole(plan)
    found = fit(plan, x, y, np.arange(len(x)))
    np.testing.assert_allclose(found.x_shift, x.mean(0))
    np.testing.assert_allclose(found.x_scale, x.std(0))
    np.testing.assert_allclose(found.targets(y).mean(), 0, atol=1e-12)
    np.testing.assert_allclose(found.targets(y).std(), 1)


def test_images_are_scaled_from_zero_to_one_unless_told_otherwise() -> None:
    plan = plan_of("digits", 10)
    x, y = whole(plan)
    found = fit(plan, x, y, np.arange(len(x))).inputs(x)
    assert (found == x / 16).all()
    assert found.min() == 0
    assert found.max() == 1


@pytest.mark.parametrize("method", ["standardize", "min_max"])
def test_images_are_prepared_a_channel_at_a_time(method: str) -> None:
    x = np.array(images(48, 2, 6, 6)) * np.array([1.0, 50.0])[:, None, None]
    y = [i % 3 for i in range(48)]
    data = prepared(cnn(dataset={"x": x.tolist(), "y": y}, prepare=method))
    assert data.preparation.x_scale.shape == (2, 1, 1)
    channels = data.parts["train"].x.transpose(0, 1).reshape(2, -1)
    if method == "standardize":
        assert channels.mean(1).abs().max() < 1e-12
        torch.testing.assert_close(channels.std(1, correction=0), torch.ones(2).double())
    else:
        assert channels.min(1).values.tolist() == [0, 0]
        assert channels.max(1).values.tolist() == [1, 1]


def test_classes_are_numbered_in_the_order_of_their_labels() -> None:
    plan = plan_of({"x": [1.0, 2.0, 3.0], "y": ["pear", "apple", ["pear"]]}, 2)
    x, y = whole(plan)
    assert x.tolist() == [[1.0], [2.0], [3.0]]
    assert y.tolist() == [1, 0, 1]


def test_a_split_without_rows_is_absent() -> None:
    assert set(ready(regression(split={"test": 0.2})).data.parts) == {"train", "test"}
