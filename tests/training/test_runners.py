"""All runners of a class give the same bits."""

from typing import Any

import pytest

from tests.specifications import Specification
from tests.training.engine import OPTIMIZERS, bits, cnn, ready, regression, table
from training.job import Training
from training.runners import Traced
from training.step import Outputs, State

ITERATIONS = 35
NETWORKS: dict[str, Specification] = {
    "regression": regression(),
    "classification": regression(
        dataset={"x": table(40, 3), "y": [i % 2 for i in range(40)]},
        loss="cross_entropy",
        schedule={"type": "cosine", "warmup_iterations": 10},
    ),
    "full batch": regression(batch_size="full"),
    "cnn": cnn(),
}


def course(training: Training, state: State) -> list[tuple[bytes, bytes, bytes, dict[str, bytes]]]:
    """Loss, gradient, parameters and all the rest of every iteration, as bits."""
    found = []
    for n in range(ITERATIONS):
        outputs: Outputs
        state, outputs = training.run(state, training.feed(n))
        rest = {name: bits(tensor) for name, tensor in (state.buffers | state.slots).items()}
        found.append((bits(outputs.loss), bits(outputs.gradient), bits(state.parameters), rest))
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_traced_equals_eager_to_the_bit(network: str, optimizer: str) -> None:
    training = ready({**NETWORKS[network], "optimizer": OPTIMIZERS[optimizer]}).training()
    start = training.beginning().state
    eager = course(training, start)
    training.trace(start, 0)
    assert training.run.name == "traced"
    assert course(training, start) == eager


def backwards(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(tensors.items()))


def test_the_order_of_names_in_a_state_does_not_matter() -> None:
    training = ready(cnn(optimizer=OPTIMIZERS["adam"])).training()
    start = training.beginning().state
    for n in range(3):  # so that no slot is zero as another is
        start, _ = training.run(start, training.feed(n))
    turned = State(start.parameters, backwards(start.buffers), backwards(start.slots))
    assert list(turned.buffers) != list(start.buffers)
    eager = course(training, start)
    assert course(training, turned) == eager
    for shown in (start, turned):
        training.run = Traced(training.step, shown, training.feed(0))
        assert course(training, start) == eager
        assert course(training, turned) == eager


def test_a_graph_holds_no_number_of_the_iteration_it_was_traced_at() -> None:
    training = ready(cnn(optimizer=OPTIMIZERS["adam"])).training()
    start = training.beginning().state
    eager = course(training, start)
    training.trace(start, 30)
    assert course(training, start) == eager
