"""What every layer of the catalogue is made of."""

from typing import Annotated, ClassVar

from pydantic import Field, Strict

from training.catalog.base import MAX_INT64, Buffer, Config, Form, Shape, ShapeError, spoken
from training.catalog.inits import Parameter

Size = Annotated[int, Field(ge=1, le=MAX_INT64)]
Step = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Sizes and distances within windows; torch holds those of pools in 32 bits."""
Pad = Annotated[int, Field(ge=0, le=10_000)]
"""torch walks over the padding of a maximum step by step: more of it would take for ever."""
Pair = Step | Annotated[tuple[Step, Step], Strict(False)]
PadPair = Pad | Annotated[tuple[Pad, Pad], Strict(False)]
Single = Step | Annotated[tuple[Step], Strict(False)]
PadSingle = Pad | Annotated[tuple[Pad], Strict(False)]

LayerName = Annotated[
    str,
    Field(max_length=64),
    Form(
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        "may hold letters, digits and `_` only, and must not begin with a digit",
    ),
]


class LayerConfig(Config):
    """A layer; by itself it changes no shape, owns nothing and multiplies nothing.

    ``keeps_input``, ``keeps_output``: what the backward pass needs of the forward pass;
    ``keeps_gradient``: whether what it computes holds on to the gradient of the output, as every
    formula does that multiplies it with something. ``view``: the output is the input, seen anew.
    """

    name: LayerName | None = None

    keeps_input: ClassVar[bool] = False
    keeps_output: ClassVar[bool] = False
    keeps_gradient: ClassVar[bool] = True
    view: ClassVar[bool] = False

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

    def flops(self, shape: Shape) -> int:
        """Of one example's forward pass.

        Counted as ``torch.utils.flop_counter.FlopCounterMode`` counts: two for each
        multiplication and addition of a matrix product or a convolution, none for anything else.
        """
        return 0

    def backward_flops(self, shape: Shape, *, inputs: bool) -> int:
        """Of one example's backward pass: the gradient of the parameters, and of the inputs too
        where a layer before this one has parameters."""
        return self.flops(shape) * (1 + inputs)


def numbers(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    """One number stands for every axis."""
    return (value,) * axes if isinstance(value, int) else value


def channels_first(shape: Shape, axes: int) -> Shape:
    """``shape`` as (channels, …) with so many axes behind, or the sentence that says what came."""
    if len(shape) != 1 + axes:
        wanted = "channels×length" if axes == 1 else "channels×height×width"
        raise ShapeError(f"expects {wanted}, but {spoken(shape)} comes in")
    return shape


def windows(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, *, ceil: bool
) -> Shape:
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
    return tuple(counts)
