"""Layers that normalise, over the batch or within an example, and dropout."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from training.catalog.base import Buffer, Shape, ShapeError, spoken
from training.catalog.inits import Constant, Parameter
from training.catalog.layers.base import LayerConfig, Size, channels_first
from training.catalog.numbers import BelowOne, Fraction, Positive


def scale_and_shift(shape: Shape, *, bias: bool = True) -> dict[str, Parameter]:
    """The weight, one at first, and the bias, zero at first, of what is normalised."""
    weight = {"weight": Parameter(shape, Constant(value=1.0))}
    return weight | ({"bias": Parameter(shape, Constant(value=0.0))} if bias else {})


class BatchNorm(LayerConfig):
    """Ioffe and Szegedy 2015 (arXiv:1502.03167): normalises each channel over the batch."""

    keeps_input: ClassVar[bool] = True

    eps: Positive = 1e-5
    momentum: Fraction = 0.1
    affine: bool = True

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return scale_and_shift(shape[:1]) if self.affine else {}

    def buffers(self, shape: Shape) -> dict[str, Buffer]:
        channels = shape[:1]
        return {
            "running_mean": Buffer(channels, 0.0),
            "running_var": Buffer(channels, 1.0),
            "num_batches_tracked": Buffer((), 0, integer=True),
        }

    def values_per_channel(self, shape: Shape) -> int | None:
        return math.prod(shape[1:])


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (features,) or (channels, length)."""

    type: Literal["batch_norm1d"] = "batch_norm1d"

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) not in (1, 2):
            raise ShapeError(
                f"expects features or channels×length, but {spoken(shape)} comes in; "
                "for images use batch_norm2d"
            )
        return shape


class BatchNorm2d(BatchNorm):
    """Batch normalisation of (channels, height, width)."""

    type: Literal["batch_norm2d"] = "batch_norm2d"

    def output_shape(self, shape: Shape) -> Shape:
        return channels_first(shape, 2)


class LayerNorm(LayerConfig):
    """Ba et al. 2016 (arXiv:1607.06450): normalises each example over its last axes.

    ``normalized_shape``: their sizes; by default all axes of an example.
    """

    keeps_input: ClassVar[bool] = True

    type: Literal["layer_norm"] = "layer_norm"
    normalized_shape: (
        Size | Annotated[tuple[Size, ...], Strict(False), Field(min_length=1)] | None
    ) = None
    eps: Positive = 1e-5
    elementwise_affine: bool = True
    bias: bool = True

    def normalized(self, shape: Shape) -> Shape:
        """The sizes of the axes that are normalised over."""
        if self.normalized_shape is None:
            return shape
        sizes = self.normalized_shape
        return (sizes,) if isinstance(sizes, int) else sizes

    def output_shape(self, shape: Shape) -> Shape:
        sizes = self.normalized(shape)
        if shape[-len(sizes) :] != sizes:
            raise ShapeError(
                f"normalized_shape {spoken(sizes)} is not how {spoken(shape)} ends, which comes in"
            )
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        if not self.elementwise_affine:
            return {}
        return scale_and_shift(self.normalized(shape), bias=self.bias)


class GroupNorm(LayerConfig):
    """Wu and He 2018 (arXiv:1803.08494): normalises groups of channels within each example."""

    keeps_input: ClassVar[bool] = True

    type: Literal["group_norm"] = "group_norm"
    num_groups: Size
    eps: Positive = 1e-5
    affine: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        if shape[0] % self.num_groups:
            raise ShapeError(
                f"num_groups = {self.num_groups} must divide the {shape[0]} channels that come in"
            )
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return scale_and_shift(shape[:1]) if self.affine else {}


class Dropout(LayerConfig):
    """While training, zeroes each value with probability ``p`` and scales the rest by 1/(1 − p)."""

    keeps_gradient: ClassVar[bool] = False

    type: Literal["dropout"] = "dropout"
    p: BelowOne = 0.5
