"""Layers: arguments as in ``torch.nn``, shapes and parameters without torch."""

import math
from typing import Annotated, Literal, get_args

from pydantic import Field, Strict

from training.catalog.words import (
    INT64,
    Buffer,
    Constant,
    Init,
    KaimingUniform,
    Parameter,
    Shape,
    ShapeError,
    SpelledOut,
    Word,
    resolved,
    spoken,
)

Size = Annotated[int, Field(ge=1, le=INT64)]
Pair = Size | Annotated[tuple[Size, Size], Strict(False)]
Pad = Annotated[int, Field(ge=0, le=INT64)]
PadPair = Pad | Annotated[tuple[Pad, Pad], Strict(False)]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number stands for both axes."""
    return (value, value) if isinstance(value, int) else value


class LayerWord(Word):
    """A layer; by itself it changes no shape and owns nothing."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that comes out when ``shape`` goes in; ``ShapeError`` when it does not fit."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """The trainable tensors for this input, named as in ``state_dict``."""
        return {}

    def buffers(self, shape: Shape) -> dict[str, Buffer]:
        """The tensors that training updates without a gradient."""
        return {}

    def values_per_channel(self, shape: Shape) -> int | None:
        """Of one example, how many values each batch statistic sees; ``None``: it needs none."""
        return None


class Linear(LayerWord):
    """y = x·Wᵀ + b; what is not flat is flattened first."""

    type: Literal["linear"] = "linear"
    out_features: Size
    bias: bool = True
    init: Init | None = None

    def output_shape(self, shape: Shape) -> Shape:
        return (self.out_features,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        fan_in = math.prod(shape)
        return weight_and_bias((self.out_features, fan_in), fan_in, self.bias, self.init)


class Conv2d(LayerWord):
    """Cross-correlation of (channels, height, width) images with learned filters."""

    type: Literal["conv2d"] = "conv2d"
    out_channels: Size
    kernel_size: Pair
    stride: Pair = 1
    padding: PadPair | Literal["same", "valid"] = 0
    dilation: Pair = 1
    groups: Size = 1
    bias: bool = True
    init: Init | None = None

    def output_shape(self, shape: Shape) -> Shape:
        channels, height, width = image(shape)
        if channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"groups = {self.groups} must divide the {channels} channels that come in "
                f"and the {self.out_channels} that go out"
            )
        if self.padding == "same":
            if pair(self.stride) != (1, 1):
                raise ShapeError('padding "same" needs stride 1')
            return (self.out_channels, height, width)
        padding = (0, 0) if self.padding == "valid" else pair(self.padding)
        rows, columns = windows(
            (height, width), pair(self.kernel_size), pair(self.stride), padding, pair(self.dilation)
        )
        return (self.out_channels, rows, columns)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        kernel = (shape[0] // self.groups, *pair(self.kernel_size))
        return weight_and_bias(
            (self.out_channels, *kernel), math.prod(kernel), self.bias, self.init
        )


class MaxPool2d(LayerWord):
    """The largest value of each window."""

    type: Literal["max_pool2d"] = "max_pool2d"
    kernel_size: Pair
    stride: Pair | None = None
    padding: PadPair = 0
    dilation: Pair = 1
    ceil_mode: bool = False

    def output_shape(self, shape: Shape) -> Shape:
        channels, height, width = image(shape)
        kernel, padding = pair(self.kernel_size), pair(self.padding)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise ShapeError(
                f"padding {spoken(padding)} must be at most half the kernel {spoken(kernel)}"
            )
        stride = kernel if self.stride is None else pair(self.stride)
        dilation = pair(self.dilation)
        rows, columns = windows(
            (height, width), kernel, stride, padding, dilation, ceil=self.ceil_mode
        )
        return (channels, rows, columns)


class Flatten(LayerWord):
    """Merges the axes ``start_dim`` to ``end_dim`` (counted with the batch axis 0, as in torch)."""

    type: Literal["flatten"] = "flatten"
    start_dim: Size = 1
    end_dim: Annotated[int, Field(ge=-INT64, le=INT64)] = -1

    def output_shape(self, shape: Shape) -> Shape:
        axes = len(shape) + 1
        end = self.end_dim + axes if self.end_dim < 0 else self.end_dim
        if not self.start_dim <= end < axes:
            raise ShapeError(
                f"axes {self.start_dim} to {self.end_dim} do not exist in {spoken(shape)}"
            )
        merged = math.prod(shape[self.start_dim - 1 : end])
        return (*shape[: self.start_dim - 1], merged, *shape[end:])


class Relu(LayerWord):
    """max(0, x)."""

    type: Literal["relu"] = "relu"


class Tanh(LayerWord):
    """The hyperbolic tangent."""

    type: Literal["tanh"] = "tanh"


class Sigmoid(LayerWord):
    """1 / (1 + e⁻ˣ)."""

    type: Literal["sigmoid"] = "sigmoid"


class Dropout(LayerWord):
    """While training, zeroes each value with probability ``p`` and scales the rest by 1/(1 − p)."""

    type: Literal["dropout"] = "dropout"
    p: Annotated[float, Field(ge=0, lt=1)] = 0.5


class BatchNorm(LayerWord):
    """Ioffe and Szegedy 2015 (arXiv:1502.03167): normalises each channel over the batch."""

    eps: Annotated[float, Field(gt=0)] = 1e-5
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.1
    affine: bool = True

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        if not self.affine:
            return {}
        channels = shape[:1]
        return {
            "weight": Parameter(channels, Constant(value=1.0)),
            "bias": Parameter(channels, Constant(value=0.0)),
        }

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
        return image(shape)


Layer = Annotated[
    Linear
    | Conv2d
    | MaxPool2d
    | Flatten
    | Relu
    | Tanh
    | Sigmoid
    | Dropout
    | BatchNorm1d
    | BatchNorm2d,
    Field(discriminator="type"),
    SpelledOut,
]
LAYERS: dict[str, type[LayerWord]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Layer)[0])
}


def weight_and_bias(
    weight: Shape, fan_in: int, bias: bool, init: Init | None
) -> dict[str, Parameter]:
    """PyTorch's default: both uniform within 1/√fan_in (Kaiming with a = √5 for the weight)."""
    default = resolved(KaimingUniform(a=math.sqrt(5)), fan_in)
    drawn = {"weight": Parameter(weight, resolved(init, fan_in) if init else default)}
    return drawn | ({"bias": Parameter(weight[:1], default)} if bias else {})


def image(shape: Shape) -> tuple[int, int, int]:
    """``shape`` as (channels, height, width), or the sentence that says what came instead."""
    if len(shape) != 3:
        raise ShapeError(f"expects channels×height×width, but {spoken(shape)} comes in")
    channels, height, width = shape
    return channels, height, width


def windows(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    *,
    ceil: bool = False,
) -> tuple[int, int]:
    """How many windows fit along each axis (the formula of ``torch.nn.MaxPool2d``)."""
    counts = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        free = n + 2 * p - d * (k - 1) - 1
        count = (free + s - 1 if ceil else free) // s + 1
        # A window may hang over the end, but must start inside the input or its left padding.
        if ceil and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"a window of {d * (k - 1) + 1} does not fit into {n + 2 * p} "
                f"(input {spoken(size)}, padding {p})"
            )
        counts.append(count)
    return counts[0], counts[1]
