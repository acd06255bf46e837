"""Losses as functions of tensors: the mean over the batch, a scalar.

B batch, C classes, D outputs. ``weights``: what a loss needs beside outputs and targets, by name,
the same throughout a job; it is handed in, so that a graph holds no number of the job.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.catalog import losses as words
from training.tensors.numerics import Numerics

LossWeights = dict[str, Tensor]


def cross_entropy(
    word: words.CrossEntropy, logits_BC: Tensor, target_B: Tensor, weights: LossWeights
) -> Tensor:
    """Softmax and −log of the true class in one, so that large logits do not overflow."""
    return functional.cross_entropy(
        logits_BC, target_B, weights.get("class"), label_smoothing=word.label_smoothing
    )


def nll_loss(
    word: words.NllLoss, logarithms_BC: Tensor, target_B: Tensor, weights: LossWeights
) -> Tensor:
    """−output of the true class."""
    return functional.nll_loss(logarithms_BC, target_B, weights.get("class"))


def bce_with_logits(
    word: words.BceWithLogits, logit_B1: Tensor, target_B: Tensor, weights: LossWeights
) -> Tensor:
    """Sigmoid and −log in one."""
    return functional.binary_cross_entropy_with_logits(
        logit_B1.squeeze(1), target_B.to(logit_B1.dtype), pos_weight=weights.get("positive")
    )


def mse_loss(
    word: words.MseLoss, output_BD: Tensor, target_BD: Tensor, weights: LossWeights
) -> Tensor:
    """The mean of (output − target)²."""
    return functional.mse_loss(output_BD, target_BD)


def l1_loss(
    word: words.L1Loss, output_BD: Tensor, target_BD: Tensor, weights: LossWeights
) -> Tensor:
    """The mean of |output − target|."""
    return functional.l1_loss(output_BD, target_BD)


def smooth_l1_loss(
    word: words.SmoothL1Loss, output_BD: Tensor, target_BD: Tensor, weights: LossWeights
) -> Tensor:
    """Quadratic up to ``beta``, linear beyond, with slope 1."""
    return functional.smooth_l1_loss(output_BD, target_BD, beta=word.beta)


def huber_loss(
    word: words.HuberLoss, output_BD: Tensor, target_BD: Tensor, weights: LossWeights
) -> Tensor:
    """Quadratic up to ``delta``, linear beyond, with slope ``delta``."""
    return functional.huber_loss(output_BD, target_BD, delta=word.delta)


LossFunction = Callable[[Any, Tensor, Tensor, LossWeights], Tensor]
"""Of a word, outputs, targets and weights."""

LOSS: dict[str, LossFunction] = {
    "cross_entropy": cross_entropy,
    "nll_loss": nll_loss,
    "bce_with_logits": bce_with_logits,
    "mse_loss": mse_loss,
    "l1_loss": l1_loss,
    "smooth_l1_loss": smooth_l1_loss,
    "huber_loss": huber_loss,
}


def weights_of(
    word: words.LossConfig, counts_C: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """The weights that a loss asks for; ``counts_C``: training examples of each class."""
    if isinstance(word, words.BceWithLogits) and word.pos_weight is not None:
        return {"positive": np.array(word.pos_weight)}
    if not isinstance(word, words.ClassLoss) or word.weight is None:
        return {}
    if word.weight == "balanced":
        return {"class": counts_C.sum() / (len(counts_C) * counts_C)}
    return {"class": np.array(word.weight)}


def loss_weights(
    word: words.LossConfig, counts_C: NDArray[np.int64], numerics: Numerics
) -> LossWeights:
    """The same as tensors of the job."""
    found = weights_of(word, counts_C)
    return {name: numerics.floats(values) for name, values in found.items()}


def class_logits(output: Tensor) -> Tensor:
    """Outputs as logits, one a class [N, C]: a single one z of two classes stands for (0, z), for
    softmax(0, z) = (1 − σ(z), σ(z))."""
    if output.shape[1] > 1:
        return output
    return torch.cat([torch.zeros_like(output), output], 1)
