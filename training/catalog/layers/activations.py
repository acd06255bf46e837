"""Layers that look at one number at a time, and those that make probabilities."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from training.catalog.base import MAX_INT64, Shape, ShapeError, spoken
from training.catalog.layers.base import LayerConfig
from training.catalog.numbers import Number, Positive


class Relu(LayerConfig):
    """max(0, x)."""

    keeps_output: ClassVar[bool] = True
    keeps_gradient: ClassVar[bool] = False

    type: Literal["relu"] = "relu"


class Tanh(LayerConfig):
    """The hyperbolic tangent."""

    keeps_output: ClassVar[bool] = True

    type: Literal["tanh"] = "tanh"


class Sigmoid(LayerConfig):
    """1 / (1 + e⁻ˣ)."""

    keeps_output: ClassVar[bool] = True

    type: Literal["sigmoid"] = "sigmoid"


class LeakyRelu(LayerConfig):
    """x where it is positive, ``negative_slope``·x elsewhere."""

    keeps_input: ClassVar[bool] = True
    keeps_gradient: ClassVar[bool] = False

    type: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: Number = 0.01


class Gelu(LayerConfig):
    """x·Φ(x) (Hendrycks and Gimpel 2016, arXiv:1606.08415); ``tanh`` approximates Φ."""

    keeps_input: ClassVar[bool] = True

    type: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = "none"


class Silu(LayerConfig):
    """x / (1 + e⁻ˣ), also called swish."""

    keeps_input: ClassVar[bool] = True

    type: Literal["silu"] = "silu"


class Elu(LayerConfig):
    """x where it is positive, ``alpha``·(eˣ − 1) elsewhere (Clevert et al. 2016)."""

    keeps_input: ClassVar[bool] = True

    type: Literal["elu"] = "elu"
    alpha: Number = 1.0


class Softplus(LayerConfig):
    """ln(1 + e^(βx)) / β, and x itself where βx is above ``threshold``."""

    keeps_input: ClassVar[bool] = True

    type: Literal["softplus"] = "softplus"
    beta: Positive = 1.0
    threshold: Number = 20.0


class AlongAxis(LayerConfig):
    """Looks along one axis of each example; ``dim`` is counted with the batch axis 0."""

    keeps_output: ClassVar[bool] = True

    dim: Annotated[int, Field(ge=-MAX_INT64, le=MAX_INT64)] = -1

    def output_shape(self, shape: Shape) -> Shape:
        axis = self.dim + len(shape) + 1 if self.dim < 0 else self.dim
        if not 1 <= axis <= len(shape):
            raise ShapeError(f"axis {self.dim} is none of an example's: {spoken(shape)} comes in")
        return shape


class Softmax(AlongAxis):
    """eˣ, divided by the sum of them along the axis ``dim`` (counted with the batch axis 0).

    cross_entropy has a softmax of its own: none is needed before it.
    """

    type: Literal["softmax"] = "softmax"


class LogSoftmax(AlongAxis):
    """The logarithm of softmax along the axis ``dim``: log-probabilities, as nll_loss takes them.

    cross_entropy takes the logarithm itself: none is needed before it.
    """

    type: Literal["log_softmax"] = "log_softmax"
