"""Optimizers: arguments as in ``torch.optim``."""

from typing import Annotated, Literal, get_args

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from training.catalog.base import Config, SpelledOut
from training.catalog.numbers import BelowOne, NotNegative, Number, Positive

Rate = Positive
Beta = BelowOne
Betas = Annotated[tuple[Beta, Beta], Strict(False)]


class OptimizerConfig(Config):
    """An optimizer: a base learning rate that the schedule scales, and its own arguments."""

    lr: Rate = 1e-3

    @property
    def slots(self) -> int:
        """How many numbers it keeps for each parameter."""
        return 2

    @property
    def temporaries(self) -> int:
        """How many more it holds for each parameter at once, while it computes an update."""
        return 2


class Sgd(OptimizerConfig):
    """Gradient descent with momentum (Sutskever et al. 2013, in torch's form)."""

    type: Literal["sgd"] = "sgd"
    momentum: NotNegative = 0.0
    dampening: Number = 0.0
    weight_decay: NotNegative = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> "Sgd":
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise PydanticCustomError(
                "conflict", "nesterov needs a momentum above 0 and a dampening of 0"
            )
        return self

    @property
    def slots(self) -> int:
        return int(self.momentum > 0)

    @property
    def temporaries(self) -> int:
        return (self.weight_decay > 0) + self.nesterov


class AdamConfig(OptimizerConfig):
    """Kingma and Ba 2015 (arXiv:1412.6980); ``amsgrad``: Reddi et al. 2018."""

    betas: Betas = (0.9, 0.999)
    eps: NotNegative = 1e-8
    amsgrad: bool = False

    @property
    def slots(self) -> int:
        return 2 + self.amsgrad

    @property
    def temporaries(self) -> int:
        return 1  # an update passes once over all of them


class Adam(AdamConfig):
    """Adam; weight decay is added to the gradient."""

    type: Literal["adam"] = "adam"
    weight_decay: NotNegative = 0.0


class AdamW(AdamConfig):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    type: Literal["adamw"] = "adamw"
    weight_decay: NotNegative = 1e-2


class RmsProp(OptimizerConfig):
    """Divides by a running root mean square of the gradient (Hinton 2012, lecture 6e).

    ``centered``: by its standard deviation (Graves 2013, arXiv:1308.0850).
    """

    type: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 1e-2
    alpha: Beta = 0.99
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    momentum: NotNegative = 0.0
    centered: bool = False

    @property
    def slots(self) -> int:
        return 1 + self.centered + (self.momentum > 0)

    @property
    def temporaries(self) -> int:
        return 1 + (self.weight_decay > 0)


class Adagrad(OptimizerConfig):
    """Divides by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011)."""

    type: Literal["adagrad"] = "adagrad"
    lr: Rate = 1e-2
    lr_decay: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    initial_accumulator_value: NotNegative = 0.0
    eps: NotNegative = 1e-10

    @property
    def slots(self) -> int:
        return 1


class NAdam(OptimizerConfig):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    type: Literal["nadam"] = "nadam"
    lr: Rate = 2e-3
    betas: Betas = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    momentum_decay: NotNegative = 4e-3
    decoupled_weight_decay: bool = False


class RAdam(OptimizerConfig):
    """Adam that waits for a second moment it can trust (Liu et al. 2020, arXiv:1908.03265)."""

    type: Literal["radam"] = "radam"
    betas: Betas = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0
    decoupled_weight_decay: bool = False


class Lion(OptimizerConfig):
    """Steps of one length by the sign of a momentum (Chen et al. 2023, arXiv:2302.06675)."""

    type: Literal["lion"] = "lion"
    lr: Rate = 1e-4
    betas: Betas = (0.9, 0.99)
    weight_decay: NotNegative = 0.0

    @property
    def slots(self) -> int:
        return 1


Optimizer = Annotated[
    Sgd | Adam | AdamW | RmsProp | Adagrad | NAdam | RAdam | Lion,
    Field(discriminator="type"),
    SpelledOut,
]
OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Optimizer)[0])
}
