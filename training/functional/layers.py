"""The forward pass of every layer, as a function of tensors.

Shapes: B batch, C channels, L length, H height, W width, F features, E of an embedding.
Argument checks are the catalogue's; here the words are known to fit.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.catalog.layers import PROJECTION, activations, affine, convolutions
from training.catalog.layers import norms as norm_words
from training.catalog.layers import pools as pool_words
from training.catalog.layers.base import LayerConfig, numbers


class LayerInputs(NamedTuple):
    """What belongs to one layer, by its local names.

    ``mask``: this iteration's random draw, ``None`` outside training. ``updated`` receives the
    buffers that the pass changes.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    mask: Tensor | None
    training: bool
    updated: dict[str, Tensor]


def linear(word: affine.Linear, x: Tensor, own: LayerInputs) -> Tensor:
    """[B, …] → [B, F]."""
    p = own.parameters
    return functional.linear(x.flatten(1), p["weight"], p.get("bias"))


def embedding(word: affine.Embedding, x: Tensor, own: LayerInputs) -> Tensor:
    """[B, …] → [B, …, E]; the whole numbers come as floats."""
    return functional.embedding(x.long(), own.parameters["weight"], word.padding_idx)


def convolution(word: convolutions.Convolution, x: Tensor, own: LayerInputs) -> Tensor:
    """[B, C, L] → [B, C', L'], or with H and W for L.

    Images pass with their channels last in memory, which convolutions prefer on every device, and
    the layers after them keep. By ``to``: for ``contiguous`` a single channel is last already, but
    what it gives the convolution then is not.
    """
    convolve = functional.conv1d if word.axes == 1 else functional.conv2d
    p = own.parameters
    weight = p["weight"]
    if word.axes == 2:
        x, weight = (t.to(memory_format=torch.channels_last) for t in (x, weight))
    return convolve(
        x,
        weight,
        p.get("bias"),
        numbers(word.stride, word.axes),
        word.padding if isinstance(word.padding, str) else numbers(word.padding, word.axes),
        numbers(word.dilation, word.axes),
        word.groups,
    )


def max_pool1d(word: pool_words.MaxPool1d, x_BCL: Tensor, own: LayerInputs) -> Tensor:
    """[B, C, L] → [B, C, L']."""
    return functional.max_pool1d(
        x_BCL,
        numbers(word.kernel_size, 1),
        None if word.stride is None else numbers(word.stride, 1),
        numbers(word.padding, 1),
        numbers(word.dilation, 1),
        word.ceil_mode,
    )


def max_pool2d(word: pool_words.MaxPool2d, x_BCHW: Tensor, own: LayerInputs) -> Tensor:
    """[B, C, H, W] → [B, C, H', W']."""
    return functional.max_pool2d(
        x_BCHW,
        numbers(word.kernel_size, 2),
        None if word.stride is None else numbers(word.stride, 2),
        numbers(word.padding, 2),
        numbers(word.dilation, 2),
        word.ceil_mode,
    )


def avg_pool2d(word: pool_words.AvgPool2d, x_BCHW: Tensor, own: LayerInputs) -> Tensor:
    """[B, C, H, W] → [B, C, H', W']."""
    return functional.avg_pool2d(
        x_BCHW,
        numbers(word.kernel_size, 2),
        None if word.stride is None else numbers(word.stride, 2),
        numbers(word.padding, 2),
        word.ceil_mode,
        word.count_include_pad,
        word.divisor_override,
    )


def adaptive_avg_pool2d(word: pool_words.AdaptiveAvgPool2d, x: Tensor, own: LayerInputs) -> Tensor:
    """[B, C, H, W] → [B, C, H', W'], one axis after the other.

    torch's own has a backward pass on CUDA that adds in no fixed order.
    """
    _, *wanted = word.output_shape(x.shape[1:])
    for axis, parts in zip((2, 3), wanted, strict=True):
        size = x.shape[axis]
        if parts != size:
            ends = [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]
            x = torch.cat([x.narrow(axis, a, b - a).mean(axis, True) for a, b in ends], axis)
    return x


def flatten(word: pool_words.Flatten, x: Tensor, own: LayerInputs) -> Tensor:
    """Merges axes."""
    return x.flatten(word.start_dim, word.end_dim)


def dropout(word: norm_words.Dropout, x: Tensor, own: LayerInputs) -> Tensor:
    """Multiplies by the mask that was drawn for this iteration."""
    return x if own.mask is None else x * own.mask


def batch_norm(word: norm_words.BatchNorm, x_BC: Tensor, own: LayerInputs) -> Tensor:
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


def layer_norm(word: norm_words.LayerNorm, x: Tensor, own: LayerInputs) -> Tensor:
    """Normalises each example over its last axes."""
    sizes = word.normalized(x.shape[1:])
    p = own.parameters
    return functional.layer_norm(x, sizes, p.get("weight"), p.get("bias"), word.eps)


def group_norm(word: norm_words.GroupNorm, x_BC: Tensor, own: LayerInputs) -> Tensor:
    """Normalises groups of channels; torch's function would refuse a batch of one value."""
    p = own.parameters
    return torch.group_norm(x_BC, word.num_groups, p.get("weight"), p.get("bias"), word.eps)


def leaky_relu(word: activations.LeakyRelu, x: Tensor, own: LayerInputs) -> Tensor:
    """Elementwise."""
    return functional.leaky_relu(x, word.negative_slope)


def gelu(word: activations.Gelu, x: Tensor, own: LayerInputs) -> Tensor:
    """Elementwise."""
    return functional.gelu(x, approximate=word.approximate)


def elu(word: activations.Elu, x: Tensor, own: LayerInputs) -> Tensor:
    """Elementwise."""
    return functional.elu(x, word.alpha)


def softplus(word: activations.Softplus, x: Tensor, own: LayerInputs) -> Tensor:
    """Elementwise."""
    return functional.softplus(x, word.beta, word.threshold)


def softmax(word: activations.Softmax, x: Tensor, own: LayerInputs) -> Tensor:
    """Along one axis."""
    return x.softmax(word.dim)


def log_softmax(word: activations.LogSoftmax, x: Tensor, own: LayerInputs) -> Tensor:
    """Along one axis, without the underflow of a logarithm after a softmax."""
    return x.log_softmax(word.dim)


def elementwise(
    function: Callable[[Tensor], Tensor],
) -> Callable[[Any, Tensor, LayerInputs], Tensor]:
    """A layer that owns nothing and looks at one number at a time."""
    return lambda word, x, own: function(x)


Forward = Mapping[str, Callable[[Any, Tensor, LayerInputs], Tensor]]
"""What each word does."""


def skip(forward: Forward, projection: LayerConfig | None, x: Tensor, own: LayerInputs) -> Tensor:
    """What a residual block adds to its output: its input, projected where shapes differ."""
    if projection is None:
        return x
    start = f"{PROJECTION}."
    inside = {n.removeprefix(start): p for n, p in own.parameters.items() if n.startswith(start)}
    return forward[projection.type](projection, x, own._replace(parameters=inside))


FORWARD: Forward = {
    "linear": linear,
    "conv1d": convolution,
    "conv2d": convolution,
    "max_pool1d": max_pool1d,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "flatten": flatten,
    "embedding": embedding,
    "relu": elementwise(torch.relu),
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "silu": elementwise(functional.silu),
    "elu": elu,
    "softplus": softplus,
    "tanh": elementwise(torch.tanh),
    "sigmoid": elementwise(torch.sigmoid),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "batch_norm1d": batch_norm,
    "batch_norm2d": batch_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "dropout": dropout,
}
"""Every word but ``residual``, whose layers the network goes through itself."""
