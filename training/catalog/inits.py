"""How first values are drawn: names and arguments as in ``torch.nn.init``."""

import math
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field

from training.catalog.base import Config, Shape, ShapeError, SpelledOut
from training.catalog.numbers import NotNegative, Number

Mode = Literal["fan_in", "fan_out"]
Nonlinearity = Literal[
    "linear", "conv1d", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"
]

MAX_ORTHOGONAL_FLOPS = 10**11
"""Multiplications that an orthogonal start may cost: a few seconds."""


class InitConfig(Config):
    """A scheme of first values; ``drawn`` says what it comes to for a tensor of this shape."""

    def drawn(self, shape: Shape) -> "Drawn":
        """One of the four ways in which values are drawn."""
        assert isinstance(self, Constant | Uniform | Normal | Orthogonal)
        return self


class Constant(InitConfig):
    """Every element is ``value``."""

    type: Literal["constant"] = "constant"
    value: Number


class Uniform(InitConfig):
    """Uniform on [a, b)."""

    type: Literal["uniform"] = "uniform"
    a: Number = 0.0
    b: Number = 1.0


class Normal(InitConfig):
    """Normal with this mean and standard deviation."""

    type: Literal["normal"] = "normal"
    mean: Number = 0.0
    std: NotNegative = 1.0


class Zeros(InitConfig):
    """Every element is 0."""

    type: Literal["zeros"] = "zeros"

    def drawn(self, shape: Shape) -> "Drawn":
        return Constant(value=0.0)


class Ones(InitConfig):
    """Every element is 1."""

    type: Literal["ones"] = "ones"

    def drawn(self, shape: Shape) -> "Drawn":
        return Constant(value=1.0)


class Xavier(InitConfig):
    """Glorot and Bengio 2010: a deviation of gain·√(2 / (fan_in + fan_out))."""

    gain: NotNegative = 1.0

    def deviation(self, shape: Shape) -> float:
        """The standard deviation for a tensor of this shape."""
        return self.gain * math.sqrt(2.0 / sum(fans(shape)))


class XavierUniform(Xavier):
    """Glorot and Bengio 2010, uniform: within ±gain·√(6 / (fan_in + fan_out))."""

    type: Literal["xavier_uniform"] = "xavier_uniform"

    def drawn(self, shape: Shape) -> "Drawn":
        return within(math.sqrt(3.0) * self.deviation(shape))


class XavierNormal(Xavier):
    """Glorot and Bengio 2010, normal: a deviation of gain·√(2 / (fan_in + fan_out))."""

    type: Literal["xavier_normal"] = "xavier_normal"

    def drawn(self, shape: Shape) -> "Drawn":
        return around_0(self.deviation(shape))


class Kaiming(InitConfig):
    """He et al. 2015 (arXiv:1502.01852): a deviation of gain / √fan.

    ``nonlinearity`` is the function that follows, and ``a`` its negative slope if it is
    ``leaky_relu``; the gain is that of ``torch.nn.init.calculate_gain``.
    """

    a: Number = 0.0
    mode: Mode = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    def precision(self, shape: Shape) -> float:
        """1 / variance for a tensor of this shape: fan / gain²."""
        fan_in, fan_out = fans(shape)
        fan = fan_in if self.mode == "fan_in" else fan_out
        if self.nonlinearity == "leaky_relu":
            return (1.0 + self.a * self.a) * fan / 2.0
        inverse = {"tanh": 9 / 25, "relu": 1 / 2, "selu": 16 / 9}
        return inverse.get(self.nonlinearity, 1.0) * fan


class KaimingUniform(Kaiming):
    """He et al. 2015 (arXiv:1502.01852), uniform: within ±gain·√(3 / fan)."""

    type: Literal["kaiming_uniform"] = "kaiming_uniform"

    def drawn(self, shape: Shape) -> "Drawn":
        return within(math.sqrt(3.0 / self.precision(shape)))


class KaimingNormal(Kaiming):
    """He et al. 2015 (arXiv:1502.01852), normal: a deviation of gain / √fan."""

    type: Literal["kaiming_normal"] = "kaiming_normal"

    def drawn(self, shape: Shape) -> "Drawn":
        return around_0(math.sqrt(1.0 / self.precision(shape)))


class Orthogonal(InitConfig):
    """Saxe et al. 2013 (arXiv:1312.6120): rows (or columns) at right angles, of length ``gain``."""

    type: Literal["orthogonal"] = "orthogonal"
    gain: Number = 1.0

    def drawn(self, shape: Shape) -> "Drawn":
        rows, columns = shape[0], math.prod(shape[1:])
        if rows * columns * min(rows, columns) > MAX_ORTHOGONAL_FLOPS:
            raise ShapeError(f"an orthogonal start of {rows}×{columns} would take too long")
        return self


Drawn = Constant | Uniform | Normal | Orthogonal
Init = Annotated[
    Constant
    | Uniform
    | Normal
    | Zeros
    | Ones
    | XavierUniform
    | XavierNormal
    | KaimingUniform
    | KaimingNormal
    | Orthogonal,
    Field(discriminator="type"),
    SpelledOut,
]
INITS: dict[str, type[InitConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Init)[0])
}


class Parameter(NamedTuple):
    """A trainable tensor: its shape and how its first value is drawn.

    ``zero_row``: the row that is zero at first (the padding of an embedding).
    """

    shape: Shape
    init: Drawn
    zero_row: int | None = None


# Only what is given has to be held by float32; what follows from it is rounded, as draws are.


def within(bound: float) -> Uniform:
    """Uniform within ±``bound``."""
    return Uniform.model_construct(a=-bound, b=bound)


def around_0(deviation: float) -> Normal:
    """Normal with mean 0 and this standard deviation."""
    return Normal.model_construct(std=deviation)


def fans(shape: Shape) -> tuple[int, int]:
    """How many numbers come into, and go out of, one element, as ``torch.nn.init`` counts them."""
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def weight_and_bias(weight: Shape, bias: bool, init: InitConfig | None) -> dict[str, Parameter]:
    """PyTorch's default: both uniform within 1/√fan_in (Kaiming with a = √5 for the weight)."""
    default = KaimingUniform(a=math.sqrt(5)).drawn(weight)
    drawn = {"weight": Parameter(weight, init.drawn(weight) if init else default)}
    return drawn | ({"bias": Parameter(weight[:1], default)} if bias else {})
