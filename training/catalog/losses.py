"""Losses: what is minimised, and which targets each fits."""

from abc import abstractmethod
from typing import Annotated, Literal, get_args

from pydantic import Field

from training.catalog.datasets import Classes, Target, Values
from training.catalog.words import Shape, ShapeError, SpelledOut, Word, spoken


class LossWord(Word):
    """A loss; ``check`` says in a sentence why it does not fit."""

    @abstractmethod
    def check(self, output: Shape, target: Target) -> None:
        """``ShapeError`` when the network's output does not fit the target."""

    @abstractmethod
    def fits(self, target: Target) -> str | None:
        """Why this loss cannot be used with such a target at all, or ``None``."""


class CrossEntropy(LossWord):
    """−log of the softmax probability of the true class, averaged over the batch."""

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0

    def fits(self, target: Target) -> str | None:
        if isinstance(target, Classes):
            return None
        return "cross_entropy needs classes as target, but this data has numbers; use mse_loss"

    def check(self, output: Shape, target: Target) -> None:
        classes = len(target.labels) if isinstance(target, Classes) else 0
        if output != (classes,):
            raise ShapeError(
                f"cross_entropy expects one output a class, {classes} in all, "
                f"but the last layer puts out {spoken(output)}"
            )


class MseLoss(LossWord):
    """The squared difference, averaged over the batch and the outputs."""

    type: Literal["mse_loss"] = "mse_loss"

    def fits(self, target: Target) -> str | None:
        if isinstance(target, Values):
            return None
        return "mse_loss needs numbers as target, but this data has classes; use cross_entropy"

    def check(self, output: Shape, target: Target) -> None:
        width = target.width if isinstance(target, Values) else 0
        if output != (width,):
            raise ShapeError(
                f"mse_loss expects {width} output{'s' * (width != 1)}, one a target column, "
                f"but the last layer puts out {spoken(output)}"
            )


Loss = Annotated[CrossEntropy | MseLoss, Field(discriminator="type"), SpelledOut]
LOSSES: dict[str, type[LossWord]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Loss)[0])
}
