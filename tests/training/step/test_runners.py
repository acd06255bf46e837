"""All runners of a class give the same bits."""

from dataclasses import replace
from typing import Any

import pytest

from tests.specifications import Specification
from tests.training.small_jobs import OPTIMIZERS, cnn, course, ready, regression, table
from training.engine.loop import group_of
from training.step.step import State

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


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_traced_equals_eager_to_the_bit(network: str, optimizer: str) -> None:
    training = ready({**NETWORKS[network], "optimizer": OPTIMIZERS[optimizer]}).training()
    group = group_of([training])
    eager = course(group, ITERATIONS)
    group.trace([training.beginning()])
    assert group.runner == "traced"
    assert course(group, ITERATIONS) == eager


def backwards(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(tensors.items()))


def test_the_order_of_names_in_a_state_does_not_matter() -> None:
    training = ready(cnn(optimizer=OPTIMIZERS["adam"])).training()
    group, start = group_of([training]), training.beginning()
    (block,) = group.advance([start], [3], None)  # so that no slot is zero as another is
    state = block.checkpoint.state
    start = replace(start, state=state)
    turned = replace(
        start, state=State(state.parameters, backwards(state.buffers), backwards(state.slots))
    )
    assert list(turned.state.buffers) != list(state.buffers)
    eager = course(group, ITERATIONS, start)
    assert course(group, ITERATIONS, turned) == eager
    for shown in (start, turned):
        group.trace([shown])
        assert course(group, ITERATIONS, start) == eager
        assert course(group, ITERATIONS, turned) == eager


def test_a_graph_holds_no_number_of_the_iteration_it_was_traced_at() -> None:
    training = ready(cnn(optimizer=OPTIMIZERS["adam"])).training()
    group, start = group_of([training]), training.beginning()
    eager = course(group, ITERATIONS)
    group.trace([replace(start, iteration=30)])
    assert course(group, ITERATIONS) == eager
