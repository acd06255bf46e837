"""What a job should be: a small model of its life, which is told of every step that is taken."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.job_state import HELD, TERMINAL, TRANSITIONS, JobState
from tests.specifications import ONE_WEIGHT

LIMIT = 24
"""Iterations of a job, unless they are changed."""

Lease = Literal["none", "valid", "late", "long ago"]
"""``late``: it has run out, ``long ago``: more than a lease ago."""


@dataclass
class Model:
    """``iteration``: durable losses; ``reached``: those of this attempt; ``died_at``: where a
    worker was lost last; ``rates``: the changes of the rate, each with its first iteration;
    ``saved``: the iterations of its checkpoints."""

    priority: int = 0
    state: JobState = JobState.QUEUED
    fence: int = 0
    attempts: int = 0
    iteration: int = 0
    reached: int = 0
    iterations: int = LIMIT
    changes: int = 0
    rates: list[tuple[int, float]] = field(default_factory=list)
    worker: str | None = None
    lease: Lease = "none"
    deaths: int = 0
    died_at: int | None = None
    saved: set[int] = field(default_factory=set)
    log: list[str] = field(default_factory=lambda: ["queued"])

    @property
    def held(self) -> bool:
        """A worker has it."""
        return self.state in HELD

    @property
    def over(self) -> bool:
        """It has ended."""
        return self.state in TERMINAL

    def can(self, arrow: str) -> bool:
        """Whether there is such an arrow."""
        return self.state in TRANSITIONS[arrow].steps

    def take(self, arrow: str) -> None:
        """Goes where the arrow leads."""
        self.state = TRANSITIONS[arrow].steps[self.state]
        self.log.append(self.state)
        if not self.held:
            self.lease = "none"

    def claimed(self, worker: str) -> None:
        """A worker takes it."""
        self.take("claim")
        self.fence += 1
        self.attempts += 1
        self.reached = 0
        self.worker, self.lease = worker, "valid"

    def wrote(self, done: int, *, save: bool) -> None:
        """Its worker has recorded the losses before ``done``."""
        self.iteration = max(self.iteration, done)
        self.reached, self.lease = done, "valid"
        if save:
            self.saved.add(done)

    def lost(self) -> None:
        """Its worker is gone. Two deaths at the same iteration are no accident."""
        lethal = self.died_at == self.reached
        self.deaths += 1
        self.died_at = self.reached
        self.fence += 1
        self.take("fail" if lethal else "lose")

    def changed(self, *, lr: float | None, iterations: int | None) -> None:
        """Another course, from the durable losses on."""
        self.changes += 1
        if lr is not None:
            self.rates.append((self.iteration, lr))
        self.iterations = iterations or self.iterations
        self.log.append(f"intervention at {self.iteration}")

    def rate(self, n: int) -> float:
        """Of update ``n``, by the log."""
        known = [rate for first, rate in self.rates if first <= n]
        return known[-1] if known else float(ONE_WEIGHT["optimizer"]["lr"])

    def losses(self) -> NDArray[np.float32]:
        """Those that are recorded."""
        return walked(0.0, range(self.iteration), self.rate)[0]


def spoken(type_: str, data: dict[str, Any]) -> str:
    """An entry of a job's log, as the model has it."""
    if type_ in ("intervention", "resumed"):
        return f"{type_} at {data['iteration']}"
    return str(data.get("state", type_))


def walked(
    x: float, over: range, rate: Callable[[int], float]
) -> tuple[NDArray[np.float32], float]:
    """An engine in one line, whose losses and state depend on all that was before."""
    losses = []
    for n in over:
        losses.append(x)
        x += rate(n) * (n + 1)
    return np.array(losses, dtype=np.float32), x
