"""Losses against torch.nn.functional, value and gradient, and what the textbook gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from training.catalog import LOSSES
from training.functional.losses import LOSS, class_logits, weights_of

Arguments = dict[str, Any]

COUNTS = np.array([11, 3, 1, 40, 6])
"""Training examples of five classes."""


def loss_and_gradient(name: str, output: Tensor, target: Tensor, **arguments: Any) -> list[Tensor]:
    """Our loss of these outputs and its derivative."""
    word = LOSSES[name].model_validate({"type": name, **arguments})
    weights = {k: torch.from_numpy(w) for k, w in weights_of(word, COUNTS).items()}
    return differentiated(lambda z: LOSS[name](word, z, target, weights), output)


def differentiated(function: Callable[[Tensor], Tensor], output: Tensor) -> list[Tensor]:
    """A loss and its derivative."""
    output = output.clone().requires_grad_()
    loss = function(output)
    return [loss, *torch.autograd.grad(loss, output)]


def logits(classes: int, spread: float = 3.0) -> Tensor:
    """Outputs of a network for 7 examples."""
    drawn = torch.randn(7, classes, generator=torch.manual_seed(0), dtype=torch.float64)
    return drawn * spread


LABELS = torch.tensor([3, 1, 4, 1, 0, 2, 2])
BINARY = torch.tensor([1, 0, 0, 1, 1, 0, 1])
NUMBERS = logits(4)[:, [2, 0, 3, 1]]
WEIGHT = [0.5, 2.0, 1.25, 3.0, 0.1]
TENSOR = torch.tensor(WEIGHT, dtype=torch.float64)
BALANCED = torch.from_numpy(
    compute_class_weight("balanced", classes=np.arange(5), y=np.repeat(np.arange(5), COUNTS))
)

CASES: list[tuple[str, Arguments, Tensor, Tensor, Callable[[Tensor], Tensor]]] = [
    *(
        (
            "cross_entropy",
            {"label_smoothing": smoothing, **weighted},
            logits(5),
            LABELS,
            lambda z, s=smoothing, w=weight: functional.cross_entropy(
                z, LABELS, w, None, -100, None, "mean", s
            ),
        )
        for smoothing in (0.0, 0.1, 1.0)
        for weighted, weight in (
            ({}, None),
            ({"weight": WEIGHT}, TENSOR),
            ({"weight": "balanced"}, BALANCED),
        )
    ),
    (
        "nll_loss",
        {"weight": WEIGHT},
        logits(5).log_softmax(1),
        LABELS,
        lambda z: functional.nll_loss(z, LABELS, TENSOR),
    ),
    ("nll_loss", {}, logits(5), LABELS, lambda z: functional.nll_loss(z, LABELS)),
    (
        "nll_loss",
        {"weight": "balanced"},
        logits(5),
        LABELS,
        lambda z: functional.nll_loss(z, LABELS, BALANCED),
    ),
    (
        "bce_with_logits",
        {},
        logits(1),
        BINARY,
        lambda z: functional.binary_cross_entropy_with_logits(z[:, 0], BINARY.double()),
    ),
    (
        "bce_with_logits",
        {"pos_weight": 2.5},
        logits(1),
        BINARY,
        lambda z: functional.binary_cross_entropy_with_logits(
            z[:, 0], BINARY.double(), pos_weight=torch.tensor(2.5)
        ),
    ),
    ("mse_loss", {}, logits(4), NUMBERS, lambda z: functional.mse_loss(z, NUMBERS)),
    ("l1_loss", {}, logits(4), NUMBERS, lambda z: functional.l1_loss(z, NUMBERS)),
    *(
        (
            "smooth_l1_loss",
            {"beta": beta},
            logits(4),
            NUMBERS,
            lambda z, b=beta: functional.smooth_l1_loss(z, NUMBERS, beta=b),
        )
        for beta in (0.0, 1.0, 2.7)
    ),
    *(
        (
            "huber_loss",
            {"delta": delta},
            logits(4),
            NUMBERS,
            lambda z, d=delta: functional.huber_loss(z, NUMBERS, delta=d),
        )
        for delta in (1.0, 2.7)
    ),
]


@pytest.mark.parametrize(
    ("name", "arguments", "output", "target", "theirs"),
    CASES,
    ids=[f"{name} {arguments}" for name, arguments, *_ in CASES],
)
def test_a_loss_agrees_with_torch(
    name: str,
    arguments: Arguments,
    output: Tensor,
    target: Tensor,
    theirs: Callable[[Tensor], Tensor],
) -> None:
    ours = loss_and_gradient(name, output, target, **arguments)
    wanted = differentiated(theirs, output)
    torch.testing.assert_close(ours[0], wanted[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(ours[1], wanted[1], rtol=1e-10, atol=1e-16)


def test_the_cases_reach_every_loss() -> None:
    assert {name for name, *_ in CASES} == set(LOSSES) == set(LOSS)


def test_cross_entropy_is_minus_the_log_of_the_probability_of_the_true_class() -> None:
    output, target = logits(10), torch.tensor([3, 1, 4, 1, 5, 9, 2])
    loss, gradient = loss_and_gradient("cross_entropy", output, target)
    p = output.exp() / output.exp().sum(1, keepdim=True)
    y = functional.one_hot(target, 10)
    torch.testing.assert_close(loss, -(y * p.log()).sum(1).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, (p - y) / len(target), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["cross_entropy", "bce_with_logits"])
def test_huge_logits_do_not_overflow(name: str) -> None:
    output = logits(5 if name == "cross_entropy" else 1, 1e200)
    target = LABELS if name == "cross_entropy" else BINARY
    loss, gradient = loss_and_gradient(name, output, target)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_one_logit_of_two_classes_is_cross_entropy_against_zero() -> None:
    z = logits(1)
    both = class_logits(z)
    torch.testing.assert_close(both.softmax(1)[:, 1], z.sigmoid()[:, 0], rtol=1e-14, atol=0)
    torch.testing.assert_close(both.softmax(1)[:, 0], (-z).sigmoid()[:, 0], rtol=1e-14, atol=0)
    torch.testing.assert_close(
        loss_and_gradient("bce_with_logits", z, BINARY)[0],
        loss_and_gradient("cross_entropy", both, BINARY)[0],
        rtol=1e-12,
        atol=0,
    )
    assert class_logits(both) is both
