"""What the fixed specifications must reach on data that did not train them (mean over three seeds).

``pytest -s`` shows the measured values; so does every failure.
"""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from tests.specifications import (
    BREAST_CANCER,
    DIABETES,
    DIGITS_CNN,
    DIGITS_MLP,
    IRIS,
    WINE,
    Specification,
    with_seed,
)
from tests.training.small_jobs import Ended, Job, ready, trained

SEEDS = (0, 1, 2)


def accuracy(job: Job, ended: Ended) -> float:
    """The share of right answers on the test split."""
    return ended.outcome.result["test"]["accuracy"]


def better_than_the_mean(job: Job, ended: Ended) -> float:
    """By which share the squared error is below that of always answering the training mean."""
    own = job.data.preparation.y_scale
    train, test = (job.data.parts[name].y.double().numpy() * own for name in ("train", "test"))
    return 1 - ended.outcome.result["test"]["mse"] / float(((test - train.mean(0)) ** 2).mean())


def measured(
    specification: Specification, score: Callable[[Job, Ended], float]
) -> tuple[float, list[float]]:
    """Mean and values over the seeds."""
    values = []
    for seed in SEEDS:
        job = ready(with_seed(specification, seed))
        assert job.plan.rows["test"] >= 0.2 * job.plan.facts.rows - 1
        values.append(score(job, trained(job)))
    mean = float(np.mean(values))
    spelled = ", ".join(f"{value:.4f}" for value in values)
    sys.stdout.write(f"\n{specification['name']}: {mean:.4f} ({spelled})\n")
    return mean, values


@pytest.mark.parametrize(
    ("specification", "wanted"),
    [(DIGITS_MLP, 0.96), (DIGITS_CNN, 0.98), (IRIS, 0.95), (WINE, 0.95), (BREAST_CANCER, 0.95)],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_a_classifier_is_right_about_data_that_did_not_train_it(
    specification: Specification, wanted: float
) -> None:
    mean, values = measured(specification, accuracy)
    assert mean >= wanted, values


def test_diabetes_is_predicted_better_than_by_its_mean() -> None:
    mean, values = measured(DIABETES, better_than_the_mean)
    assert mean >= 0.35, values
