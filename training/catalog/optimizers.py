"""Optimizers: arguments as in ``torch.optim``."""

from typing import Annotated, Literal, get_args

from pydantic import Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from training.catalog.words import SpelledOut, Word

Rate = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Beta, Beta], Strict(False)]


class OptimizerWord(Word):
    """An optimizer: a base learning rate that the schedule scales, and its own arguments."""

    lr: Rate = 1e-3


class Sgd(OptimizerWord):
    """Gradient descent with momentum (Sutskever et al. 2013, in torch's form)."""

    type: Literal["sgd"] = "sgd"
    momentum: NotNegative = 0.0
    dampening: float = 0.0
    weight_decay: NotNegative = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> "Sgd":
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise PydanticCustomError(
                "conflict", "nesterov needs a momentum above 0 and a dampening of 0"
            )
        return self


class AdamWord(OptimizerWord):
    """Kingma and Ba 2015 (arXiv:1412.6980); ``amsgrad``: Reddi et al. 2018."""

    betas: Betas = (0.9, 0.999)
    eps: NotNegative = 1e-8
    amsgrad: bool = False


class Adam(AdamWord):
    """Adam; weight decay is added to the gradient."""

    type: Literal["adam"] = "adam"
    weight_decay: NotNegative = 0.0


class AdamW(AdamWord):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    type: Literal["adamw"] = "adamw"
    weight_decay: NotNegative = 1e-2


Optimizer = Annotated[Sgd | Adam | AdamW, Field(discriminator="type"), SpelledOut]
OPTIMIZERS: dict[str, type[OptimizerWord]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Optimizer)[0])
}
