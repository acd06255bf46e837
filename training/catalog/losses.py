"""Losses: what is minimised, and which targets each fits. Each is the mean over the batch."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, Strict

from training.catalog.base import Config, Shape, ShapeError, SpelledOut, spoken
from training.catalog.datasets import Classes, Target, Values
from training.catalog.numbers import Fraction, NotNegative, Positive

ClassWeights = Annotated[
    Annotated[tuple[Positive, ...], Strict(False)] | Literal["balanced"] | None, Field(default=None)
]
"""One number a class, in the order of the labels; ``balanced``: N / (C·Nᶜ) in training."""


class LossConfig(Config):
    """A loss. ``classes``: whether its target is one of several labels.

    ``after``: the only layer that may come before it, where it takes not just any numbers.
    """

    classes: ClassVar[bool]
    after: ClassVar[str | None] = None

    @classmethod
    @abstractmethod
    def takes(cls, target: Target) -> bool:
        """Whether it can be used with such a target at all."""

    def fits(self, target: Target) -> str | None:
        """Why it cannot be used with such a target, and what can; or ``None``."""
        if self.takes(target):
            return None
        needs = "classes" if self.classes else "numbers"
        has = "classes" if isinstance(target, Classes) else "numbers"
        return f"{self.type} needs {needs} as target, but this data has {has}; {others(target)}"

    @abstractmethod
    def check(self, output: Shape, target: Target) -> None:
        """``ShapeError`` when the network's output does not fit the target."""


class ClassLoss(LossConfig):
    """A loss of scores, one a class."""

    classes: ClassVar[bool] = True

    weight: ClassWeights

    @classmethod
    def takes(cls, target: Target) -> bool:
        return isinstance(target, Classes)

    def fits(self, target: Target) -> str | None:
        if isinstance(target, Classes) and isinstance(self.weight, tuple):
            given, wanted = len(self.weight), len(target.labels)
            if given != wanted:
                return f"`weight` has {given} numbers, but there are {wanted} classes"
        return super().fits(target)

    def check(self, output: Shape, target: Target) -> None:
        classes = len(target.labels) if isinstance(target, Classes) else 0
        if output != (classes,):
            raise ShapeError(
                f"{self.type} expects one output a class, {classes} in all, "
                f"but the last layer puts out {spoken(output)}"
            )


class CrossEntropy(ClassLoss):
    """−log of the softmax probability of the true class; any outputs will do.

    ``weight``: one number a class, in the order of the labels, or ``balanced``: rare classes count
    as much as frequent ones.
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Fraction = 0.0


class NllLoss(ClassLoss):
    """−1 times the output of the true class, which has to be a log-probability.

    So the last layer is ``log_softmax``; ``cross_entropy`` needs none. ``weight`` is as there.
    """

    after: ClassVar[str | None] = "log_softmax"

    type: Literal["nll_loss"] = "nll_loss"


class BceWithLogits(LossConfig):
    """For two classes and one output: −log of the sigmoid probability of the true one.

    The output speaks for the second label. ``pos_weight`` multiplies the loss of its examples.
    """

    classes: ClassVar[bool] = True

    type: Literal["bce_with_logits"] = "bce_with_logits"
    pos_weight: Positive | None = None

    @classmethod
    def takes(cls, target: Target) -> bool:
        return isinstance(target, Classes) and len(target.labels) == 2

    def fits(self, target: Target) -> str | None:
        if isinstance(target, Classes) and not self.takes(target):
            count = len(target.labels)
            return f"{self.type} needs two classes, but this data has {count}; {others(target)}"
        return super().fits(target)

    def check(self, output: Shape, target: Target) -> None:
        if output != (1,):
            raise ShapeError(
                f"{self.type} expects one output, that of the second class, "
                f"but the last layer puts out {spoken(output)}"
            )


class ValueLoss(LossConfig):
    """A loss of numbers."""

    classes: ClassVar[bool] = False

    @classmethod
    def takes(cls, target: Target) -> bool:
        return isinstance(target, Values)

    def check(self, output: Shape, target: Target) -> None:
        width = target.width if isinstance(target, Values) else 0
        if output != (width,):
            raise ShapeError(
                f"{self.type} expects {width} output{'s' * (width != 1)}, one a target column, "
                f"but the last layer puts out {spoken(output)}"
            )


class MseLoss(ValueLoss):
    """The squared difference, averaged over the batch and the outputs."""

    type: Literal["mse_loss"] = "mse_loss"


class L1Loss(ValueLoss):
    """The absolute difference, averaged over the batch and the outputs."""

    type: Literal["l1_loss"] = "l1_loss"


class SmoothL1Loss(ValueLoss):
    """d²/(2·``beta``) for differences d below ``beta``, |d| − ``beta``/2 above."""

    type: Literal["smooth_l1_loss"] = "smooth_l1_loss"
    beta: NotNegative = 1.0


class HuberLoss(ValueLoss):
    """d²/2 for differences d below ``delta``, ``delta``·(|d| − ``delta``/2) above (Huber 1964)."""

    type: Literal["huber_loss"] = "huber_loss"
    delta: Positive = 1.0


Loss = Annotated[
    CrossEntropy | NllLoss | BceWithLogits | MseLoss | L1Loss | SmoothL1Loss | HuberLoss,
    Field(discriminator="type"),
    SpelledOut,
]
LOSSES: dict[str, type[LossConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Loss)[0])
}


def others(target: Target) -> str:
    """The losses that can be used with such a target, as advice."""
    *names, last = [name for name, word in LOSSES.items() if word.takes(target)]
    return f"use {', '.join(names)} or {last}"
