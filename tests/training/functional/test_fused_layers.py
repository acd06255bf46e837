"""Layers and losses over an axis of jobs give each job what those of one job give it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from training import catalog
from training.functional.fused_layers import LAYERS, LOSSES, MIN_FAST_SOFTMAX_VALUES
from training.functional.layers import FORWARD, LayerInputs
from training.functional.losses import LOSS

JOBS, BATCH = 3, 7


def drawn(*shape: int) -> Tensor:
    """Of all jobs."""
    random = torch.Generator().manual_seed(sum(shape))
    return torch.randn(JOBS, *shape, generator=random, dtype=torch.float64)


def assert_each(
    of_all: Callable[..., Tensor], of_one: Callable[..., Tensor], *given: Tensor
) -> None:
    """Values and derivatives."""
    leaves = [tensor.clone().requires_grad_() for tensor in given]
    together = of_all(*leaves)
    ones = [[tensor[k].clone().requires_grad_() for tensor in given] for k in range(JOBS)]
    apart = [of_one(*one) for one in ones]
    torch.testing.assert_close(together, torch.stack(apart))
    slopes = torch.autograd.grad(together.square().sum(), leaves)
    for k, (value, one) in enumerate(zip(apart, ones, strict=True)):
        for mine, its in zip(slopes, torch.autograd.grad(value.square().sum(), one), strict=True):
            torch.testing.assert_close(mine[k], its)


@pytest.mark.parametrize("classes", [2, 10, MIN_FAST_SOFTMAX_VALUES + 1])
@pytest.mark.parametrize(
    "word",
    [
        {"type": "cross_entropy"},
        {"type": "cross_entropy", "label_smoothing": 0.1},
        {"type": "nll_loss"},
        {"type": "bce_with_logits"},
        *({"type": name} for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")),
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss(word: dict[str, Any], classes: int, weighted: bool) -> None:
    name = word["type"]
    loss = catalog.LOSSES[name].model_validate(word)
    weights, target = dict[str, Tensor](), drawn(BATCH, classes).flip(0)
    output = drawn(BATCH, classes)
    if name in {"cross_entropy", "nll_loss"}:
        target = torch.arange(JOBS * BATCH).view(JOBS, BATCH) % classes
        weights = {"class": drawn(classes)[0].abs()} if weighted else {}
    elif name == "bce_with_logits":
        output, target = drawn(BATCH, 1), torch.arange(JOBS * BATCH).view(JOBS, BATCH) % 2
        weights = {"positive": torch.tensor(2.5, dtype=torch.float64)} if weighted else {}
    targets = iter(target)
    assert_each(
        lambda output: LOSSES[name](loss, output, target, weights),
        lambda output: LOSS[name](loss, output, next(targets), weights),
        output,
    )


@pytest.mark.parametrize("width", [1, 5, 20, MIN_FAST_SOFTMAX_VALUES + 1])
@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"linear", "flatten", "dropout"}))
def test_a_layer_without_parameters(name: str, width: int) -> None:
    word, own = (
        catalog.LAYERS[name].model_validate({"type": name}),
        LayerInputs({}, {}, None, True, {}),
    )
    assert_each(
        lambda x: LAYERS[name](word, x, own),
        lambda x: FORWARD[name](word, x, own),
        drawn(BATCH, width),
    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_probabilities_along_any_axis(name: str, dim: int) -> None:
    word, own = (
        catalog.LAYERS[name].model_validate({"type": name, "dim": dim}),
        LayerInputs({}, {}, None, True, {}),
    )
    assert_each(
        lambda x: LAYERS[name](word, x, own),
        lambda x: FORWARD[name](word, x, own),
        drawn(BATCH, 4, 5),
    )


@pytest.mark.parametrize("batch", [1, BATCH])
@pytest.mark.parametrize("outputs", [1, 3, 20])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(batch: int, outputs: int, bias: bool) -> None:
    word = catalog.LAYERS["linear"].model_validate(
        {"type": "linear", "out_features": outputs, "bias": bias}
    )

    def layer(forward: Any) -> Callable[..., Tensor]:
        def computed(x: Tensor, weight: Tensor, *biases: Tensor) -> Tensor:
            parameters = dict(zip(("weight", "bias"), (weight, *biases), strict=False))
            y: Tensor = forward["linear"](word, x, LayerInputs(parameters, {}, None, True, {}))
            return y

        return computed

    given = [drawn(batch, 6), drawn(outputs, 6), *([drawn(outputs)] if bias else [])]
    assert_each(layer(LAYERS), layer(FORWARD), *given)
