"""Layers that make one value of each window, and the one that merges axes."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, Strict

from training.catalog.base import MAX_INT64, Shape, ShapeError, spoken
from training.catalog.layers.base import (
    LayerConfig,
    PadPair,
    PadSingle,
    Pair,
    Single,
    Size,
    channels_first,
    numbers,
    windows,
)


class Pool(LayerConfig):
    """One value for each window over the ``axes`` behind the channels."""

    axes: ClassVar[int]
    keeps_input: ClassVar[bool] = True
    keeps_gradient: ClassVar[bool] = False

    kernel_size: Single | Pair
    stride: Single | Pair | None = None
    padding: PadSingle | PadPair = 0
    ceil_mode: bool = False

    def output_shape(self, shape: Shape) -> Shape:
        channels, *size = channels_first(shape, self.axes)
        kernel = numbers(self.kernel_size, self.axes)
        padding = numbers(self.padding, self.axes)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ShapeError(
                f"padding {spoken(padding)} must be at most half the kernel {spoken(kernel)}"
            )
        stride = kernel if self.stride is None else numbers(self.stride, self.axes)
        counts = windows(
            tuple(size), kernel, stride, padding, self.dilations(), ceil=self.ceil_mode
        )
        return (channels, *counts)

    def dilations(self) -> Shape:
        """How far apart the values of a window lie along each axis."""
        return (1,) * self.axes


class MaxPool1d(Pool):
    """The largest value of each window of (channels, length)."""

    axes: ClassVar[int] = 1

    type: Literal["max_pool1d"] = "max_pool1d"
    kernel_size: Single
    stride: Single | None = None
    padding: PadSingle = 0
    dilation: Single = 1

    def dilations(self) -> Shape:
        return numbers(self.dilation, self.axes)


class MaxPool2d(Pool):
    """The largest value of each window of (channels, height, width)."""

    axes: ClassVar[int] = 2

    type: Literal["max_pool2d"] = "max_pool2d"
    kernel_size: Pair
    stride: Pair | None = None
    padding: PadPair = 0
    dilation: Pair = 1

    def dilations(self) -> Shape:
        return numbers(self.dilation, self.axes)


class AvgPool2d(Pool):
    """The mean of each window of (channels, height, width).

    ``count_include_pad``: zeros of the padding count; ``divisor_override``: divides the sum instead
    of the number of values.
    """

    axes: ClassVar[int] = 2

    type: Literal["avg_pool2d"] = "avg_pool2d"
    kernel_size: Pair
    stride: Pair | None = None
    padding: PadPair = 0
    count_include_pad: bool = True
    divisor_override: Size | None = None


class AdaptiveAvgPool2d(LayerConfig):
    """The mean of windows that divide (channels, height, width) into ``output_size`` parts.

    ``null`` for an axis leaves it as it is.
    """

    keeps_gradient: ClassVar[bool] = False

    type: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    output_size: Size | Annotated[tuple[Size | None, Size | None], Strict(False)]

    def output_shape(self, shape: Shape) -> Shape:
        channels, *size = channels_first(shape, 2)
        wanted = (self.output_size,) * 2 if isinstance(self.output_size, int) else self.output_size
        return (channels, *(n if n is not None else m for n, m in zip(wanted, size, strict=True)))


class Flatten(LayerConfig):
    """Merges the axes ``start_dim`` to ``end_dim`` (counted with the batch axis 0, as in torch)."""

    keeps_gradient: ClassVar[bool] = False
    view: ClassVar[bool] = True

    type: Literal["flatten"] = "flatten"
    start_dim: Size = 1
    end_dim: Annotated[int, Field(ge=-MAX_INT64, le=MAX_INT64)] = -1

    def output_shape(self, shape: Shape) -> Shape:
        axes = len(shape) + 1
        end = self.end_dim + axes if self.end_dim < 0 else self.end_dim
        if not self.start_dim <= end < axes:
            raise ShapeError(
                f"axes {self.start_dim} to {self.end_dim} do not exist in {spoken(shape)}"
            )
        merged = math.prod(shape[self.start_dim - 1 : end])
        return (*shape[: self.start_dim - 1], merged, *shape[end:])
