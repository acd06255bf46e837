"""Learning-rate schedules: the factor that multiplies an optimizer's ``lr`` at iteration n."""

import math
from abc import abstractmethod
from typing import Annotated, Literal, get_args

from pydantic import Field

from training.catalog.words import INT64, SpelledOut, Word

Count = Annotated[int, Field(ge=0, le=INT64)]


class ScheduleWord(Word):
    """A schedule; each may warm up linearly first, as ``torch.optim.lr_scheduler.LinearLR``."""

    warmup_iterations: Count = 0
    warmup_start_factor: Annotated[float, Field(gt=0, le=1)] = 1 / 3

    def learning_rate(self, lr: float, n: int, iterations: int) -> float:
        """The rate of update ``n`` (from 0) of ``iterations``, computed in float64."""
        if n < self.warmup_iterations:
            start = self.warmup_start_factor
            return lr * (start + (1 - start) * n / self.warmup_iterations)
        return self.after_warmup(
            lr, n - self.warmup_iterations, max(1, iterations - self.warmup_iterations)
        )

    @abstractmethod
    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        """The rate ``n`` iterations after the warm-up, of ``iterations`` that follow it."""


class ConstantRate(ScheduleWord):
    """The same rate throughout."""

    type: Literal["constant"] = "constant"

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        return lr


class Cosine(ScheduleWord):
    """Half a cosine from ``lr`` down to ``eta_min`` (Loshchilov and Hutter 2017, no restarts).

    ``t_max`` is its length in iterations; by default all that follow the warm-up.
    """

    type: Literal["cosine"] = "cosine"
    eta_min: Annotated[float, Field(ge=0)] = 0.0
    t_max: Annotated[int, Field(ge=1, le=INT64)] | None = None

    def after_warmup(self, lr: float, n: int, iterations: int) -> float:
        angle = math.pi * n / (self.t_max or iterations)
        return self.eta_min + (lr - self.eta_min) * (1 + math.cos(angle)) / 2


Schedule = Annotated[ConstantRate | Cosine, Field(discriminator="type"), SpelledOut]
SCHEDULES: dict[str, type[ScheduleWord]] = {
    word.model_fields["type"].default: word for word in get_args(get_args(Schedule)[0])
}
