"""Learning-rate schedules: an optimizer's rate at iteration n, in iterations throughout.

Arguments are those of ``torch.optim.lr_scheduler``. A length that is not given (``t_max``,
``total_iters``, ``total_steps``) is all the iterations that follow the warm-up.
"""

import math
from abc import abstractmethod
from bisect import bisect_right
from typing import Annotated, Literal, get_args

from pydantic import Field, Strict

from training.catalog.base import MAX_INT64, Config, SpelledOut
from training.catalog.numbers import FLOAT32, Fraction, NotNegative, Positive

Count = Annotated[int, Field(ge=0, le=MAX_INT64)]
Length = Annotated[int, Field(ge=1, le=MAX_INT64)]
Factor = Annotated[float, Field(gt=0, le=1), FLOAT32]
Gamma = Positive


class ScheduleConfig(Config):
    """A schedule; each may first rise linearly (as ``LinearLR``) to the rate it begins with."""

    warmup_iterations: Count = 0
    warmup_start_factor: Factor = 1 / 3

    def learning_rate(self, lr: float, n: int, iterations: int) -> float:
        """The rate of update ``n`` (from 0) of ``iterations``, computed in float64."""
        left = max(1, iterations - self.warmup_iterations)
        if n < self.warmup_iterations:
            start = self.warmup_start_factor
            risen = start + (1 - start) * n / self.warmup_iterations
            return self.after_warmup(lr, 0, left) * risen
        return self.after_warmup(lr, n - self.warmup_iterations, left)

    @abstractmethod
    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        """The rate ``n`` iterations after the warm-up, of ``iterations`` that follow it."""


class ConstantRate(ScheduleConfig):
    """The same rate throughout."""

    type: Literal["constant"] = "constant"

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr


class Cosine(ScheduleConfig):
    """Half a cosine from ``lr`` down to ``eta_min`` (Loshchilov and Hutter 2017, no restarts).

    ``t_max`` is its length in iterations, after which it rises again; by default all that follow
    the warm-up, and it stays at ``eta_min`` if there are more of them in the end.
    """

    type: Literal["cosine"] = "cosine"
    eta_min: NotNegative = 0.0
    t_max: Length | None = None

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        n = n if self.t_max else min(n, iterations)
        angle = math.pi * n / (self.t_max or iterations)
        return self.eta_min + (lr - self.eta_min) * (1 + math.cos(angle)) / 2


class Step(ScheduleConfig):
    """Multiplies the rate by ``gamma`` every ``step_size`` iterations."""

    type: Literal["step"] = "step"
    step_size: Length
    gamma: Gamma = 0.1

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr * power(self.gamma, n // self.step_size)


class MultiStep(ScheduleConfig):
    """Multiplies the rate by ``gamma`` at each of the ``milestones``."""

    type: Literal["multi_step"] = "multi_step"
    milestones: Annotated[tuple[Count, ...], Strict(False), Field(min_length=1, max_length=1000)]
    gamma: Gamma = 0.1

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr * power(self.gamma, bisect_right(sorted(self.milestones), n))


class Exponential(ScheduleConfig):
    """Multiplies the rate by ``gamma`` every iteration."""

    type: Literal["exponential"] = "exponential"
    gamma: Gamma

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr * power(self.gamma, n)


class LinearRate(ScheduleConfig):
    """A straight line from ``start_factor`` to ``end_factor`` times the rate, flat after it.

    ``total_iters`` is its length; by default all iterations that follow the warm-up.
    """

    type: Literal["linear"] = "linear"
    start_factor: Factor = 1 / 3
    end_factor: Fraction = 1.0
    total_iters: Length | None = None

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr * line(self.start_factor, self.end_factor, gone(n, self.total_iters, iterations))


class Polynomial(ScheduleConfig):
    """lr·(1 − n/``total_iters``)^``power``, and 0 after it.

    ``total_iters`` is all iterations that follow the warm-up, unless it is given.
    """

    type: Literal["polynomial"] = "polynomial"
    total_iters: Length | None = None
    power: Gamma = 1.0

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        left: float = (1.0 - gone(n, self.total_iters, iterations)) ** self.power
        return lr * left


class OneCycle(ScheduleConfig):
    """Up to ``max_lr`` and far down again (Smith and Topin 2018, arXiv:1708.07120); the rate alone.

    Begins at ``max_lr``/``div_factor``, which takes the place of the optimizer's ``lr``, and ends
    at 1/``final_div_factor`` of that. ``three_phase``: falls as it rose before the last descent.
    """

    type: Literal["one_cycle"] = "one_cycle"
    max_lr: Positive
    total_steps: Length | None = None
    pct_start: Fraction = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    div_factor: Gamma = 25.0
    final_div_factor: Gamma = 1e4
    three_phase: bool = False

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        steps = self.total_steps or iterations
        n, began = min(n, steps - 1), 0.0
        for end, low, high in self.phases(steps):
            if n <= end:
                part = (n - began) / (end - began) if end > began else 1.0
                return self.between(low, high, part)
            began = end
        raise AssertionError("the last phase ends with the last step")

    def phases(self, steps: int) -> list[tuple[float, float, float]]:
        """Where each phase ends, and the rates that it leads from and to."""
        first = self.max_lr / self.div_factor
        last, top = first / self.final_div_factor, float(self.pct_start * steps) - 1
        rise, whole = (top, first, self.max_lr), float(steps - 1)
        if not self.three_phase:
            return [rise, (whole, self.max_lr, last)]
        back = float(2 * self.pct_start * steps) - 2
        return [rise, (back, self.max_lr, first), (whole, first, last)]

    def between(self, start: float, end: float, part: float) -> float:
        """Part of the way from one rate to another."""
        if self.anneal_strategy == "linear":
            return line(start, end, part)
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1.0)


def gone(n: int, length: int | None, iterations: int) -> float:
    """How much of a schedule is over, from 0 to 1."""
    whole = length or iterations
    return min(n, whole) / whole


def line(start: float, end: float, part: float) -> float:
    """Part of the way on a straight line."""
    return start + (end - start) * part


def power(base: float, exponent: int) -> float:
    """base^exponent; infinite where that is beyond all numbers, so that the job diverges."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf


Schedule = Annotated[
    ConstantRate | Cosine | Step | MultiStep | Exponential | LinearRate | Polynomial | OneCycle,
    Field(discriminator="type"),
    SpelledOut,
]
SCHEDULES: dict[str, type[ScheduleConfig]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Schedule)[0])
}
