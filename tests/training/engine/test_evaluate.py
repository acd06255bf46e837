"""Evaluation of a trained model: on every split, in the target's own units."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from tests.training.small_jobs import cnn, ready, regression, stepped
from training.engine.evaluate import EVALUATION_ROWS, outputs
from training.functional.network import Network
from training.tensors.data import raw


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
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2 * EVALUATION_ROWS + 5, 3))).float()
    whole = outputs(network, state.parameters, {}, x)
    assert whole.shape == (2 * EVALUATION_ROWS + 5, 2)
    torch.testing.assert_close(whole[-5:], outputs(network, state.parameters, {}, x[-5:]))
