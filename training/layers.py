"""The forward pass of every layer, as a function of tensors.

Shapes: B batch, C channels, H height, W width, F features.
Argument checks are the catalogue's; here the words are known to fit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.catalog import layers as words


class Own(NamedTuple):
    """What belongs to one layer, by its local names.

    ``mask``: this iteration's random draw, ``None`` outside training. ``updated`` receives the
    buffers that the pass changes.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    mask: Tensor | None
    training: bool
    updated: dict[str, Tensor]


def linear(word: words.Linear, x: Tensor, own: Own) -> Tensor:
    """[B, …] → [B, F]."""
    p = own.parameters
    return functional.linear(x.flatten(1), p["weight"], p.get("bias"))


def conv2d(word: words.Conv2d, x_BCHW: Tensor, own: Own) -> Tensor:
    """[B, C, H, W] → [B, C', H', W']."""
    p = own.parameters
    return functional.conv2d(
        x_BCHW,
        p["weight"],
        p.get("bias"),
        words.pair(word.stride),
        word.padding if isinstance(word.padding, str) else words.pair(word.padding),
        words.pair(word.dilation),
        word.groups,
    )


def max_pool2d(word: words.MaxPool2d, x_BCHW: Tensor, own: Own) -> Tensor:
    """[B, C, H, W] → [B, C, H', W']."""
    return functional.max_pool2d(
        x_BCHW,
        words.pair(word.kernel_size),
        None if word.stride is None else words.pair(word.stride),
        words.pair(word.padding),
        words.pair(word.dilation),
        word.ceil_mode,
    )


def flatten(word: words.Flatten, x: Tensor, own: Own) -> Tensor:
    """Merges axes."""
    return x.flatten(word.start_dim, word.end_dim)


def dropout(word: words.Dropout, x: Tensor, own: Own) -> Tensor:
    """Multiplies by the mask that was drawn for this iteration."""
    return x if own.mask is None else x * own.mask


def batch_norm(word: words.BatchNorm, x_BC: Tensor, own: Own) -> Tensor:
    """Normalises over every axis but C; while training, by the batch's own statistics."""
    mean, var = own.buffers["running_mean"], own.buffers["running_var"]
    weight, bias = own.parameters.get("weight"), own.parameters.get("bias")
    if not own.training:
        return functional.batch_norm(x_BC, mean, var, weight, bias, False, 0.0, word.eps)
    y_BC: Tensor
    # The functional form returns the new running statistics instead of writing into the old ones.
    y_BC, _, _, mean, var = torch.ops.aten._native_batch_norm_legit_functional(
        x_BC, weight, bias, mean, var, True, word.momentum, word.eps
    )
    own.updated["running_mean"], own.updated["running_var"] = mean, var
    own.updated["num_batches_tracked"] = own.buffers["num_batches_tracked"] + 1
    return y_BC


def elementwise(function: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor, Own], Tensor]:
    """A layer that owns nothing and looks at one number at a time."""
    return lambda word, x, own: function(x)


FORWARD: dict[str, Callable[[Any, Tensor, Own], Tensor]] = {
    "linear": linear,
    "conv2d": conv2d,
    "max_pool2d": max_pool2d,
    "flatten": flatten,
    "relu": elementwise(torch.relu),
    "tanh": elementwise(torch.tanh),
    "sigmoid": elementwise(torch.sigmoid),
    "dropout": dropout,
    "batch_norm1d": batch_norm,
    "batch_norm2d": batch_norm,
}
