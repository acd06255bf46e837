"""Convolutions, over one axis or two."""

import math
from typing import ClassVar, Literal

from training.catalog.base import Shape, ShapeError
from training.catalog.inits import Init, Parameter, weight_and_bias
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


class Convolution(LayerConfig):
    """Cross-correlation with learned filters over the ``axes`` behind the channels."""

    axes: ClassVar[int]
    keeps_input: ClassVar[bool] = True

    out_channels: Size
    kernel_size: Single | Pair
    stride: Single | Pair = 1
    padding: PadSingle | PadPair | Literal["same", "valid"] = 0
    dilation: Single | Pair = 1
    groups: Size = 1
    bias: bool = True
    init: Init | None = None

    def output_shape(self, shape: Shape) -> Shape:
        channels, *size = channels_first(shape, self.axes)
        if channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"groups = {self.groups} must divide the {channels} channels that come in "
                f"and the {self.out_channels} that go out"
            )
        stride = numbers(self.stride, self.axes)
        if self.padding == "same":
            if any(step != 1 for step in stride):
                raise ShapeError('padding "same" needs stride 1')
            return (self.out_channels, *size)
        padding = 0 if self.padding == "valid" else self.padding
        assert not isinstance(padding, str)
        counts = windows(
            tuple(size),
            numbers(self.kernel_size, self.axes),
            stride,
            numbers(padding, self.axes),
            numbers(self.dilation, self.axes),
            ceil=False,
        )
        return (self.out_channels, *counts)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        kernel = (shape[0] // self.groups, *numbers(self.kernel_size, self.axes))
        return weight_and_bias((self.out_channels, *kernel), self.bias, self.init)

    def flops(self, shape: Shape) -> int:
        kernel = math.prod(numbers(self.kernel_size, self.axes))
        return 2 * math.prod(self.output_shape(shape)) * (shape[0] // self.groups) * kernel

    def backward_flops(self, shape: Shape, *, inputs: bool) -> int:
        """torch counts the gradient of a grouped filter as if it were not grouped."""
        return self.flops(shape) * (self.groups + inputs)


class Conv1d(Convolution):
    """Cross-correlation of (channels, length) series with learned filters."""

    axes: ClassVar[int] = 1

    type: Literal["conv1d"] = "conv1d"
    kernel_size: Single
    stride: Single = 1
    padding: PadSingle | Literal["same", "valid"] = 0
    dilation: Single = 1


class Conv2d(Convolution):
    """Cross-correlation of (channels, height, width) images with learned filters."""

    axes: ClassVar[int] = 2

    type: Literal["conv2d"] = "conv2d"
    kernel_size: Pair
    stride: Pair = 1
    padding: PadPair | Literal["same", "valid"] = 0
    dilation: Pair = 1
