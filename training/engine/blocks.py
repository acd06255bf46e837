"""What the engine yields, and where it can go on from."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor

from training.engine.stopping import Counters, Losses
from training.functional.network import Tensors
from training.step.step import State


class Weights(NamedTuple):
    """What predicts: parameters [P] and buffers."""

    parameters: Tensor
    buffers: Tensors


@dataclass(frozen=True)
class Checkpoint:
    """Everything the future depends on: the state before update ``iteration``, the stop rules'
    counters, and the best weights so far when early stopping will restore them."""

    iteration: int
    state: State
    counters: Counters = field(default_factory=Counters)
    best: Weights | None = None


class Evaluation(NamedTuple):
    """Loss and metrics on the validation data of the weights before update ``iteration``."""

    iteration: int
    values: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """How a job ended. ``iteration``: updates made; of a diverged job, where the loss was lost.

    ``result``: final loss and metrics by split; absent when it diverged.
    """

    reason: Literal["completed", "early_stopping", "converged", "diverged"]
    iteration: int
    weights: Weights
    result: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Block:
    """A run of iterations: ``losses[i]`` is the loss before update ``first + i``.

    ``checkpoint`` is a value: its tensors never change, so it may be written while the next block
    is computed, or dropped. ``outcome`` is set on the last block only.
    """

    first: int
    losses: Losses
    evaluations: tuple[Evaluation, ...]
    checkpoint: Checkpoint
    runner: str
    outcome: Outcome | None = None
