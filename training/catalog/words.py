"""What every word of the catalogue is made of."""

import math
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Shape = tuple[int, ...]
"""A shape without the batch axis: (features,) or (channels, height, width)."""


INT64 = 2**63 - 1
"""The largest whole number of a specification: what torch, JSON parsers and databases can hold."""


class ShapeError(ValueError):
    """What comes in does not fit the layer; the message says what comes and what is expected."""


class Section(BaseModel):
    """A part of a specification: immutable, and nothing in it is guessed or ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Word(Section):
    """A named choice with arguments; every family has its own subclasses."""

    type: str


def spelled_out(value: Any) -> Any:
    """A bare string stands for ``{"type": string}``."""
    return {"type": value} if isinstance(value, str) else value


SpelledOut = BeforeValidator(spelled_out)


class Constant(Word):
    """Every element is ``value``."""

    type: Literal["constant"] = "constant"
    value: float


class Uniform(Word):
    """Uniform on [a, b), as ``torch.nn.init.uniform_``."""

    type: Literal["uniform"] = "uniform"
    a: float = 0.0
    b: float = 1.0


class KaimingUniform(Word):
    """He et al. 2015 (arXiv:1502.01852), fan-in mode; ``a``: the negative slope that follows."""

    type: Literal["kaiming_uniform"] = "kaiming_uniform"
    a: float = 0.0


Init = Annotated[Constant | Uniform | KaimingUniform, Field(discriminator="type"), SpelledOut]


class Parameter(NamedTuple):
    """A trainable tensor: its shape and how its first value is drawn."""

    shape: Shape
    init: Constant | Uniform


class Buffer(NamedTuple):
    """A tensor that the forward pass updates: running statistics, a counter."""

    shape: Shape
    value: float
    integer: bool = False


def resolved(init: Constant | Uniform | KaimingUniform, fan_in: int) -> Constant | Uniform:
    """The draw that an initialisation scheme means for a tensor with this fan-in."""
    if not isinstance(init, KaimingUniform):
        return init
    bound = math.sqrt(6.0 / ((1.0 + init.a * init.a) * fan_in))
    return Uniform(a=-bound, b=bound)


def spoken(shape: Shape) -> str:
    """A shape as it is written in messages: ``1×8×8``, ``64``."""
    return "×".join(str(size) for size in shape) or "a single number"
