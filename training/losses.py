"""Losses as functions of tensors: the mean over the batch, a scalar.

B batch, C classes, D outputs.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional

from training.catalog import losses as words


def cross_entropy(word: words.CrossEntropy, logits_BC: Tensor, target_B: Tensor) -> Tensor:
    """Softmax and −log of the true class in one, so that large logits do not overflow."""
    return functional.cross_entropy(logits_BC, target_B, label_smoothing=word.label_smoothing)


def mse_loss(word: words.MseLoss, output_BD: Tensor, target_BD: Tensor) -> Tensor:
    """The mean of (output − target)²."""
    return functional.mse_loss(output_BD, target_BD)


LOSS: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "mse_loss": mse_loss,
}
