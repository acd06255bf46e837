"""Metrics against scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics

from tests.training.engine import cnn, ready, regression, stepped
from training.data import raw
from training.evaluate import ROWS, outputs
from training.evaluate import regression as errors
from training.network import Network


def drawn(rows: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Guesses and targets."""
    both = torch.randn(2, rows, width, generator=torch.manual_seed(0), dtype=torch.float64)
    return both[0], both[1]


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("rows", [2, 50])
def test_errors_are_those_of_scikit_learn(rows: int, width: int) -> None:
    guess, target = drawn(rows, width)
    found = errors(guess, target, torch.ones(width))
    assert found["mse"] == pytest.approx(metrics.mean_squared_error(target, guess), rel=1e-12)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(target, guess), rel=1e-12)
    assert found["r2"] == pytest.approx(metrics.r2_score(target, guess), rel=1e-12)


def test_errors_are_in_the_targets_own_units() -> None:
    guess, target = drawn(20, 2)
    scale = torch.tensor([10.0, 0.5]).double()
    found = errors(guess, target, scale)
    own = metrics.mean_squared_error(target * scale, guess * scale)
    assert found["mse"] == pytest.approx(own, rel=1e-12)
    assert found["r2"] == pytest.approx(metrics.r2_score(target, guess), rel=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_r2_of_a_constant_target_is_that_of_scikit_learn(right: bool) -> None:
    guess, target = drawn(20, 2)
    target[:, 1] = 3.0
    guess[:, 1] = 3.0 if right else 4.0
    found = errors(guess, target, torch.ones(2))
    assert found["r2"] == pytest.approx(metrics.r2_score(target, guess), rel=1e-12)


def test_r2_of_one_example_is_a_number() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guess, target = drawn(1, 2)
        assert errors(guess, target, torch.ones(2))["r2"] == 0.0


def test_accuracy_is_that_of_scikit_learn() -> None:
    job = ready(cnn())
    ended = stepped(job, 60)
    for name, part in job.data.parts.items():
        output = outputs(Network(job.plan.layers), *ended.outcome.weights, part.x)
        wanted = metrics.accuracy_score(part.y, output.argmax(1))
        assert ended.outcome.result[name]["accuracy"] == pytest.approx(wanted, rel=1e-12)


def test_mse_of_a_trained_model_is_measured_against_the_raw_target() -> None:
    job = ready(regression(prepare="standardize"))
    ended = stepped(job, 60)
    part = job.data.parts["train"]
    output = outputs(Network(job.plan.layers), *ended.outcome.weights, part.x).double().numpy()
    own = output * job.data.preparation.y_scale + job.data.preparation.y_shift
    wanted = metrics.mean_squared_error(raw(job.plan)[1][part.rows], own)
    assert ended.outcome.result["train"]["mse"] == pytest.approx(wanted, rel=1e-5)
    assert ended.outcome.result["train"]["loss"] != pytest.approx(wanted, rel=1e-2)


def test_many_examples_are_passed_in_parts() -> None:
    job = ready(regression())
    network = Network(job.plan.layers)
    state = job.training().beginning().state
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2 * ROWS + 5, 3))).float()
    whole = outputs(network, state.parameters, {}, x)
    assert whole.shape == (2 * ROWS + 5, 2)
    torch.testing.assert_close(whole[-5:], outputs(network, state.parameters, {}, x[-5:]))
