"""The gradient of the step against central finite differences in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.specifications import Specification
from tests.training.small_jobs import FLOAT64, bits, cnn, ready, regression, table

CLASSIFIER = regression(
    dataset={"x": table(40, 3), "y": [i % 2 for i in range(40)]},
    loss={"type": "cross_entropy", "label_smoothing": 0.2},
)
IMAGES_TO_NUMBERS = cnn(
    dataset={**cnn()["dataset"], "y": table(48, 3)},
    loss="mse_loss",
)


@pytest.mark.parametrize(
    "specification",
    [
        pytest.param(regression(), id="mlp, mse_loss"),
        pytest.param(CLASSIFIER, id="mlp, cross_entropy"),
        pytest.param(cnn(), id="cnn, cross_entropy"),
        pytest.param(IMAGES_TO_NUMBERS, id="cnn, mse_loss"),
    ],
)
def test_a_gradient_agrees_with_finite_differences(specification: Specification) -> None:
    training = ready(specification, FLOAT64).training()
    # One update in, so that biases and batch norm have left their first values.
    state, _ = training.run(training.beginning().state, training.feed(0))
    inputs = training.feed(1)

    def loss_at(parameters_P: Tensor) -> Tensor:
        return training.run(state._replace(parameters=parameters_P), inputs)[1].loss

    gradient = training.run(state, inputs)[1].gradient
    step = 1e-6
    for i in range(0, len(gradient), 7):  # every kind of parameter comes up
        shift = torch.zeros_like(gradient)
        shift[i] = step
        difference = (loss_at(state.parameters + shift) - loss_at(state.parameters - shift)) / (
            2 * step
        )
        torch.testing.assert_close(gradient[i], difference, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("specification", [regression(), cnn()], ids=["mlp", "cnn"])
def test_a_step_changes_nothing_that_it_is_given(specification: Any) -> None:
    training = ready(specification).training()
    state, inputs = training.beginning().state, training.feed(0)
    tensors = [
        state.parameters,
        *state.buffers.values(),
        *state.slots.values(),
        inputs.x,
        inputs.y,
        *inputs.noise.values(),
        *inputs.hyper.values(),
    ]
    before = [bits(tensor) for tensor in tensors]
    first = training.run(state, inputs)
    again = training.run(state, inputs)
    assert [bits(tensor) for tensor in tensors] == before
    assert bits(first[0].parameters) == bits(again[0].parameters)
    assert bits(first[1].gradient) == bits(again[1].gradient)
