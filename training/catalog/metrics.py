"""Metrics: what is measured on a split beside the loss, in which direction it is good."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from training.catalog.base import MAX_INT64, Config, SpelledOut
from training.catalog.datasets import Classes, Target, Values


class MetricConfig(Config):
    """A metric; its series is called ``validation_`` and its name. ``rises``: more is better."""

    rises: ClassVar[bool] = True

    @classmethod
    def takes(cls, target: Target) -> bool:
        """Whether it can be measured on such a target."""
        return isinstance(target, Classes)

    def fits(self, target: Target) -> str | None:
        """Why it cannot be measured on such a target, or ``None``."""
        if self.takes(target):
            return None
        known = ", ".join(name for name, word in METRICS.items() if word.takes(target))
        return f"`{self.type}` does not fit this target; known are {known}"


class Accuracy(MetricConfig):
    """The share of examples whose most probable class is the true one."""

    type: Literal["accuracy"] = "accuracy"


class TopKAccuracy(MetricConfig):
    """The share of examples whose true class is among the ``k`` most probable ones.

    ``k`` is 5 unless it is given, and then at most one less than there are classes. Of equally
    probable classes the first come first.
    """

    type: Literal["top_k_accuracy"] = "top_k_accuracy"
    k: Annotated[int, Field(ge=1, le=MAX_INT64)] | None = None

    def fits(self, target: Target) -> str | None:
        if isinstance(target, Classes) and self.k is not None and self.k > len(target.labels):
            return f"`k` is {self.k}, but there are {len(target.labels)} classes only"
        return super().fits(target)

    def among(self, classes: int) -> int:
        """k for so many classes."""
        return max(1, min(5, classes - 1)) if self.k is None else self.k


class BalancedAccuracy(MetricConfig):
    """The share of each class's examples that are recognised, averaged over the classes present."""

    type: Literal["balanced_accuracy"] = "balanced_accuracy"


class F1(MetricConfig):
    """2PR/(P + R) of precision P and recall R of each class, averaged over the classes (macro).

    Classes that neither occur nor are predicted do not count.
    """

    type: Literal["f1"] = "f1"


class RocAuc(MetricConfig):
    """The probability that an example of a class gets a higher score for it than one of another.

    With two classes that of the second; with more the average over the classes (one against the
    rest, macro) that some but not all examples have. NaN where there is none.
    """

    type: Literal["roc_auc"] = "roc_auc"


class ErrorMetricConfig(MetricConfig):
    """A metric of numbers, in the target's own units."""

    @classmethod
    def takes(cls, target: Target) -> bool:
        return isinstance(target, Values)


class Mse(ErrorMetricConfig):
    """The mean squared error, in the target's own units."""

    rises: ClassVar[bool] = False

    type: Literal["mse"] = "mse"


class Mae(ErrorMetricConfig):
    """The mean absolute error, in the target's own units."""

    rises: ClassVar[bool] = False

    type: Literal["mae"] = "mae"


class R2(ErrorMetricConfig):
    """The share of the target's variance that is explained, averaged over its columns.

    1 − Σ(y − ŷ)² / Σ(y − ȳ)²; of a constant column it is 0, or 1 where every guess is right.
    """

    type: Literal["r2"] = "r2"


Metric = Annotated[
    Accuracy | TopKAccuracy | BalancedAccuracy | F1 | RocAuc | Mse | Mae | R2,
    Field(discriminator="type"),
    SpelledOut,
]
METRICS: dict[str, type[MetricConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Metric)[0])
}
DEFAULT_METRICS: dict[type[Target], tuple[MetricConfig, ...]] = {
    Classes: (Accuracy(),),
    Values: (Mse(), Mae(), R2()),
}
"""What is measured unless the specification chooses."""


def rises(series: str) -> bool:
    """Whether more is better; losses fall."""
    word = METRICS.get(series.removeprefix("validation_"))
    return word is not None and word.rises
