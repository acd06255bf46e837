"""The loop: ``train`` yields blocks of iterations until the job ends or nobody asks for more."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training import stopping
from training.data import Data
from training.evaluate import evaluate
from training.feed import Feed
from training.network import Network, Tensors
from training.numerics import Numerics
from training.optimizers import RULES
from training.plan import Plan
from training.runners import Eager, Runner, Traced
from training.step import State, make_step
from training.stopping import Counters, Losses

SECOND_BLOCK, BLOCK = 0.01, 0.2
"""Seconds: the first block is a single iteration, so that a loss is seen at once; from the second
on they double up to this length."""
MOST = 4096
"""Iterations a block at most: a device works ahead of the clock."""
WORTH_TRACING = 0.5
"""Seconds of eager work ahead from which on a trace (about 0.1 s) pays."""


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


def train(
    plan: Plan,
    data: Data,
    numerics: Numerics,
    resume: Checkpoint | None = None,
    until: int | None = None,
) -> Iterator[Block]:
    """Trains from the start, or from where ``resume`` stood, and yields what happened.

    With ``until`` only the iterations before it, and no outcome: another leg follows.

    The series and the final weights are a function of (specification, fingerprint): where blocks
    end, and how often a job was resumed, changes no bit.
    """
    job = Training(plan, data, numerics, until)
    start, seconds = resume or job.beginning(), 0.0
    while start.iteration != until:
        began = time.perf_counter()
        block = job.block(start, seconds)
        pace = (time.perf_counter() - began) / max(1, len(block.losses))
        yield block
        if block.outcome is not None:
            return
        left = job.end - block.checkpoint.iteration
        if block.runner == "eager" and left * pace > WORTH_TRACING:
            job.trace(block.checkpoint.state, block.checkpoint.iteration)
        start, seconds = block.checkpoint, min(max(2 * seconds, SECOND_BLOCK), BLOCK)


class Training:
    """One job in one process: its step, what feeds it, and the runner in use.

    ``until``: it goes no further, and no stop rule ends it, for it is known to have come there.
    """

    def __init__(
        self, plan: Plan, data: Data, numerics: Numerics, until: int | None = None
    ) -> None:
        self.plan = plan
        self.until = until
        self.end = plan.iterations if until is None else until
        self.data = data
        self.numerics = numerics.at(plan.spec.precision)
        self.network = Network(plan.layers)
        self.step = make_step(plan, self.network, self.numerics)
        self.feed = Feed(plan, data, numerics)
        self.run: Runner = Eager(self.step)

    def beginning(self) -> Checkpoint:
        """The state before iteration 0."""
        optimizer = self.plan.spec.optimizer
        parameters_P = self.network.initial_parameters(self.plan.spec.seed, self.numerics)
        slots = {
            name: torch.full_like(parameters_P, value)
            for name, value in RULES[optimizer.type].slots(optimizer).items()
        }
        buffers = self.network.initial_buffers(self.numerics)
        return Checkpoint(0, State(parameters_P, buffers, slots))

    def block(self, start: Checkpoint, seconds: float) -> Block:
        """The iterations from ``start`` on, for about so long, cut where a stop rule says."""
        block = self.advance(start, min(start.iteration + MOST, self.end), seconds)
        if self.until is not None:
            return block
        diverged = stopping.diverged_at(block.checkpoint.counters, block.losses)
        converged = self.converged_at(start, block)
        if converged is not None and (diverged is None or converged < diverged):
            # The state at that iteration is gone; the same steps again bring it back to the bit.
            block = self.advance(start, start.iteration + converged + 1, None)
            return self.finished(block, "converged")
        if diverged is not None:
            return self.diverged(start, block, diverged)
        if self.stops_early(block.checkpoint.counters):
            return self.finished(block, "early_stopping")
        if block.checkpoint.iteration == self.plan.iterations:
            return self.finished(block, "completed")
        return block

    def advance(self, start: Checkpoint, until: int, seconds: float | None) -> Block:
        """Updates from ``start`` to iteration ``until`` or for about so long; one at least."""
        began = time.perf_counter()
        now, losses, evaluations = start, list[Tensor](), list[Evaluation]()
        state = now.state
        for n in range(start.iteration, until):
            if self.plan.evaluates_at(n):
                now = self.evaluated(replace(now, iteration=n, state=state), evaluations)
                if self.stops_early(now.counters):
                    break
            state, outputs = self.run(state, self.feed(n))
            losses.append(outputs.loss)
            del outputs  # its gradient is as large as the parameters
            if seconds is not None and time.perf_counter() - began > seconds:
                break
        # One transfer a block; nothing above waits for the device.
        series = torch.stack(losses).cpu().numpy() if losses else np.empty(0)
        recorded = series.astype(np.float32)
        counters = stopping.remember(self.plan.spec.convergence, now.counters, recorded)
        end = replace(now, iteration=start.iteration + len(losses), state=state, counters=counters)
        return Block(start.iteration, recorded, tuple(evaluations), end, self.run.name)

    def evaluated(self, now: Checkpoint, evaluations: list[Evaluation]) -> Checkpoint:
        """Evaluates the validation data and tells the early-stopping rule."""
        weights = Weights(now.state.parameters, now.state.buffers)
        values = self.measure("validation", weights)
        evaluations.append(Evaluation(now.iteration, values))
        rule = self.plan.spec.early_stopping
        if rule is None:
            return now
        counters = stopping.watch(rule, now.counters, now.iteration, values)
        improved = counters.best_iteration == now.iteration
        best = weights if improved and rule.restore_best else now.best
        return replace(now, counters=counters, best=best)

    def measure(self, part: str, weights: Weights) -> dict[str, float]:
        """Loss and metrics on one split."""
        rows, weighed = self.data.parts[part], self.feed.loss_weights
        return evaluate(self.plan, self.network, self.data, rows, weighed, *weights)

    def stops_early(self, counters: Counters) -> bool:
        """Whether patience is at an end."""
        rule = self.plan.spec.early_stopping
        if rule is None or self.until is not None:
            return False
        return counters.without_improvement >= rule.patience

    def converged_at(self, start: Checkpoint, block: Block) -> int | None:
        """Where in the block the loss stopped changing, if a rule asks."""
        rule = self.plan.spec.convergence
        return None if rule is None else stopping.converged_at(rule, start.counters, block.losses)

    def finished(
        self, block: Block, reason: Literal["completed", "early_stopping", "converged"]
    ) -> Block:
        """The last block: the weights after the last update are evaluated, the best ones kept."""
        end, evaluations = block.checkpoint, list(block.evaluations)
        seen = evaluations and evaluations[-1].iteration == end.iteration
        if "validation" in self.data.parts and not seen:
            end = self.evaluated(end, evaluations)
        weights = end.best or Weights(end.state.parameters, end.state.buffers)
        if torch.isfinite(weights.parameters).all():
            result = {part: self.measure(part, weights) for part in self.data.parts}
            outcome = Outcome(reason, end.iteration, weights, result)
        else:  # lost in the very last update, so that no loss shows it
            outcome = Outcome("diverged", end.iteration - 1, weights, {})
        return replace(block, evaluations=tuple(evaluations), checkpoint=end, outcome=outcome)

    def diverged(self, start: Checkpoint, block: Block, at: int) -> Block:
        """The block up to the loss that was no longer finite, and the state that had this loss."""
        last = block.first + at
        end = self.advance(start, last, None).checkpoint
        weights = Weights(end.state.parameters, end.state.buffers)
        return replace(
            block,
            losses=block.losses[: at + 1],
            evaluations=tuple(e for e in block.evaluations if e.iteration <= last),
            checkpoint=end,
            outcome=Outcome("diverged", last, weights, {}),
        )

    def trace(self, state: State, n: int) -> None:
        """Swaps the eager runner for the traced one; equal to the bit, so at any time.

        ``state`` and iteration ``n`` only show the graph the shapes.
        """
        self.run = Traced(self.step, state, self.feed(n))
