"""The rules for FLOPs against torch's own counter."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.specifications import DIGITS_CNN, DIGITS_MLP
from tests.training.small_jobs import cnn, ready, regression
from tests.training.test_every_layer import JOBS
from tests.training.twins import Twin, twins
from training.catalog import LAYERS
from training.catalog.layers import LayerConfig
from training.validation import flops

BATCH = 3


def counted(work: Any) -> int:
    """What torch counts while ``work`` is done."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def word_of(twin: Twin) -> LayerConfig:
    arguments = {"type": twin.word} if isinstance(twin.word, str) else twin.word
    return LAYERS[arguments["type"]].model_validate(arguments)


def batch(twin: Twin) -> torch.Tensor:
    dtype = torch.float32 if twin.rows is None else torch.int64
    return torch.empty(BATCH, *twin.shape, dtype=dtype, device="meta")


@pytest.mark.parametrize("name", twins())
def test_a_layers_forward_pass_has_the_flops_that_torch_counts(name: str) -> None:
    twin = twins()[name]
    x, module = batch(twin), twin.module.to("meta")
    assert BATCH * word_of(twin).flops(twin.shape) == counted(lambda: module(x))


@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("name", twins())
def test_a_layers_backward_pass_has_the_flops_that_torch_counts(name: str, inputs: bool) -> None:
    twin = twins()[name]
    x, module = batch(twin), twin.module.to("meta")
    if inputs and twin.rows is None:
        x.requires_grad_()
    output = module(x)
    if not output.requires_grad:
        return  # nothing to differentiate
    gradient = torch.ones_like(output)
    wanted = counted(lambda: output.backward(gradient))
    assert BATCH * word_of(twin).backward_flops(twin.shape, inputs=inputs) == wanted


NETWORKS = {
    **{f"every layer: {name}": job for name, job in JOBS.items()},
    "digits, perceptron": DIGITS_MLP,
    "digits, convolutions": DIGITS_CNN,
    "full batch": regression(batch_size="full"),
    "nothing to learn before the second convolution": cnn(
        model=[
            {"type": "avg_pool2d", "kernel_size": 2},
            {"type": "conv2d", "out_channels": 4, "kernel_size": 2, "groups": 2},
            {"type": "linear", "out_features": 3},
        ]
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_iteration_has_the_flops_that_torch_counts(name: str) -> None:
    training = ready(NETWORKS[name]).training()
    state, inputs = training.beginning().state, training.feed(0)
    wanted = counted(lambda: training.run(state, inputs))
    assert flops.iteration(training.plan) == wanted > 0
