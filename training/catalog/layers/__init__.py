"""Layers: arguments as in ``torch.nn``; shapes, parameters and FLOPs without torch."""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import Field

from training.catalog.base import Buffer, Shape, ShapeError, SpelledOut, spoken
from training.catalog.inits import Parameter
from training.catalog.layers.activations import (
    Elu,
    Gelu,
    LeakyRelu,
    LogSoftmax,
    Relu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Tanh,
)
from training.catalog.layers.affine import Embedding, Linear
from training.catalog.layers.base import LayerConfig
from training.catalog.layers.convolutions import Conv1d, Conv2d
from training.catalog.layers.norms import BatchNorm1d, BatchNorm2d, Dropout, GroupNorm, LayerNorm
from training.catalog.layers.pools import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Flatten,
    MaxPool1d,
    MaxPool2d,
)

__all__ = [
    "LAYERS",
    "PROJECTION",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "Dropout",
    "Elu",
    "Embedding",
    "Flatten",
    "Gelu",
    "GroupNorm",
    "Layer",
    "LayerConfig",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Relu",
    "Residual",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Tanh",
]

PROJECTION = "projection"
"""The name of what a residual block's skip owns."""


class Residual(LayerConfig):
    """A block of layers whose input is added to its output (He et al. 2016, arXiv:1512.03385).

    Where the shapes differ the input is projected first, without a bias: by a 1×1 convolution with
    the stride that fits, or by a matrix where flat values come out.
    """

    type: Literal["residual"] = "residual"
    layers: Annotated[list["Layer"], Field(min_length=1)]

    def children(self, shape: Shape) -> Iterator[tuple[str, LayerConfig, Shape]]:
        """The layers of the block: name or index, word, and what comes in."""
        for i, word in enumerate(self.layers):
            yield word.name or str(i), word, shape
            shape = word.output_shape(shape)

    def output_shape(self, shape: Shape) -> Shape:
        out = shape
        for word in self.layers:
            out = word.output_shape(out)
        projection(shape, out)  # or the sentence why there is none
        return out

    def skip(self, shape: Shape) -> Linear | Conv1d | Conv2d | None:
        """The word that takes the input to the shape of the output; ``None`` when it has it."""
        return projection(shape, self.output_shape(shape))

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        owned = {
            f"{path}.{name}": parameter
            for path, word, comes in self.children(shape)
            for name, parameter in word.parameters(comes).items()
        }
        skip = self.skip(shape)
        projected = {} if skip is None else skip.parameters(shape)
        return owned | {f"{PROJECTION}.{name}": tensor for name, tensor in projected.items()}

    def buffers(self, shape: Shape) -> dict[str, Buffer]:
        return {
            f"{path}.{name}": buffer
            for path, word, comes in self.children(shape)
            for name, buffer in word.buffers(comes).items()
        }

    def flops(self, shape: Shape) -> int:
        skip = self.skip(shape)
        inside = sum(word.flops(comes) for _, word, comes in self.children(shape))
        return inside + (0 if skip is None else skip.flops(shape))

    def backward_flops(self, shape: Shape, *, inputs: bool) -> int:
        skip = self.skip(shape)
        total = 0 if skip is None else skip.backward_flops(shape, inputs=inputs)
        for _, word, comes in self.children(shape):
            total += word.backward_flops(comes, inputs=inputs)
            inputs = inputs or bool(word.parameters(comes))
        return total


Layer = Annotated[
    Linear
    | Conv1d
    | Conv2d
    | MaxPool1d
    | MaxPool2d
    | AvgPool2d
    | AdaptiveAvgPool2d
    | Flatten
    | Embedding
    | Residual
    | Relu
    | LeakyRelu
    | Gelu
    | Silu
    | Elu
    | Softplus
    | Tanh
    | Sigmoid
    | Softmax
    | LogSoftmax
    | BatchNorm1d
    | BatchNorm2d
    | LayerNorm
    | GroupNorm
    | Dropout,
    Field(discriminator="type"),
    SpelledOut,
]
Residual.model_rebuild()
LAYERS: dict[str, type[LayerConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Layer)[0])
}


def projection(shape: Shape, out: Shape) -> Linear | Conv1d | Conv2d | None:
    """The layer without bias that takes ``shape`` to ``out``, or ``None`` when they are equal."""
    if shape == out:
        return None
    if len(out) == 1:
        return Linear(out_features=out[0], bias=False)
    if len(out) == len(shape) and len(out) in (2, 3):
        strides = [stride(n, m) for n, m in zip(shape[1:], out[1:], strict=True)]
        if len(strides) == 1:
            return Conv1d(out_channels=out[0], kernel_size=1, stride=strides[0], bias=False)
        both = (strides[0], strides[1])
        return Conv2d(out_channels=out[0], kernel_size=1, stride=both, bias=False)
    raise ShapeError(f"no projection leads from {spoken(shape)} to {spoken(out)}, which comes out")


def stride(size: int, wanted: int) -> int:
    """The step by which a window of one takes an axis of ``size`` to ``wanted`` values."""
    step = (size - 1) // wanted + 1
    if (size - 1) // step + 1 == wanted:
        return step
    raise ShapeError(
        f"the block makes {wanted} of {size} along an axis, and no stride of its skip does; "
        "use padding, or a stride"
    )
