"""Losses against torch.nn, and the gradient that the textbook gives."""

import pytest
import torch
from torch import Tensor, nn

from training.catalog import LOSSES
from training.losses import LOSS


def loss_and_gradient(
    name: str, output: Tensor, target: Tensor, **arguments: float
) -> list[Tensor]:
    """Our loss of these outputs and its derivative."""
    output = output.clone().requires_grad_()
    word = LOSSES[name].model_validate({"type": name, **arguments})
    loss = LOSS[name](word, output, target)
    return [loss, *torch.autograd.grad(loss, output)]


def logits(classes: int, spread: float = 3.0) -> Tensor:
    """Outputs of a network for 7 examples."""
    drawn = torch.randn(7, classes, generator=torch.manual_seed(0), dtype=torch.float64)
    return drawn * spread


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_agrees_with_torch(smoothing: float) -> None:
    output, target = logits(5), torch.arange(7) % 5
    ours = loss_and_gradient("cross_entropy", output, target, label_smoothing=smoothing)
    output.requires_grad_()
    theirs = nn.CrossEntropyLoss(label_smoothing=smoothing)(output, target)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        ours[1], torch.autograd.grad(theirs, output)[0], rtol=1e-10, atol=1e-16
    )


@pytest.mark.parametrize("width", [1, 4])
def test_mse_loss_agrees_with_torch(width: int) -> None:
    output, target = logits(width), logits(width) ** 2
    ours = loss_and_gradient("mse_loss", output, target)
    output.requires_grad_()
    theirs = nn.MSELoss()(output, target)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-10, atol=0)
    torch.testing.assert_close(ours[1], torch.autograd.grad(theirs, output)[0], rtol=1e-10, atol=0)


def test_cross_entropy_is_minus_the_log_of_the_probability_of_the_true_class() -> None:
    output, target = logits(10), torch.tensor([3, 1, 4, 1, 5, 9, 2])
    loss, gradient = loss_and_gradient("cross_entropy", output, target)
    p = output.exp() / output.exp().sum(1, keepdim=True)
    y = nn.functional.one_hot(target, 10)
    torch.testing.assert_close(loss, -(y * p.log()).sum(1).mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, (p - y) / len(target), rtol=1e-12, atol=1e-15)


def test_cross_entropy_of_huge_logits_does_not_overflow() -> None:
    loss, gradient = loss_and_gradient("cross_entropy", logits(3, 1e200), torch.arange(7) % 3)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
