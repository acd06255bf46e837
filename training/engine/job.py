"""One job in one process: what it begins with, how it is judged, and its step."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch

from training.engine import stopping
from training.engine.blocks import Block, Checkpoint, Evaluation, Outcome, Weights
from training.engine.evaluate import evaluate
from training.engine.stopping import Losses
from training.functional import fused_layers
from training.functional.losses import LOSS
from training.functional.network import Network
from training.functional.optimizers import RULES
from training.spec.plan import Plan
from training.step.batches import BatchSource
from training.step.runners import Eager, Runner, Single
from training.step.step import State, Step, make_step
from training.tensors.data import Data
from training.tensors.numerics import Numerics
from training.validation.fusion_rules import why_not_fusable

Rerun = Callable[[Checkpoint, int], Block]
"""The same steps from a checkpoint up to an iteration: to the bit what they were."""


class TrainingJob:
    """One job: its rules, its step, and what feeds it.

    ``until``: it goes no further, and no stop rule ends it, for it is known to have come there.
    ``evaluates``: whether the validation data are looked at on the way.
    ``fused``: its numerics class; ``step`` is then one of several jobs side by side. ``None``: the
    class by the rule.
    """

    def __init__(
        self,
        plan: Plan,
        data: Data,
        numerics: Numerics,
        until: int | None = None,
        *,
        fused: bool | None = None,
        evaluates: bool = True,
    ) -> None:
        self.plan = plan
        self.until = until
        self.evaluates = evaluates
        self.end = plan.iterations if until is None else until
        self.data = data
        self.numerics = numerics.at(plan.spec.precision)
        self.fused = why_not_fusable(plan, numerics.device.type) is None if fused is None else fused
        self.network = Network(plan.layers)
        self.step = self.make_step()
        self.feed = BatchSource(plan, data, self.numerics)
        self.run: Runner = Single(self.step) if self.fused else Eager(self.step)

    def make_step(self) -> Step:
        """What one iteration computes, as the numerics class has it."""
        loss = self.plan.spec.loss.type
        if self.fused:
            network = Network(self.plan.layers, fused_layers.LAYERS)
            return make_step(self.plan, network, fused_layers.LOSSES[loss], self.numerics)
        return make_step(self.plan, self.network, LOSS[loss], self.numerics)

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

    def judged(self, start: Checkpoint, block: Block, again: Rerun) -> Block:
        """A block as the stop rules leave it: cut where one of them says, and with the outcome."""
        if self.until is not None:
            return block
        diverged = stopping.diverged_at(block.checkpoint.counters, block.losses)
        converged = self.converged_at(start, block)
        if converged is not None and (diverged is None or converged < diverged):
            # The state at that iteration is gone; the same steps again bring it back to the bit.
            return self.finished(again(start, start.iteration + converged + 1), "converged")
        if diverged is not None:
            return self.diverged(start, block, diverged, again)
        if self.stops_early(block.checkpoint):
            return self.finished(block, "early_stopping")
        if block.checkpoint.iteration == self.plan.iterations:
            return self.finished(block, "completed")
        return block

    def block(
        self,
        start: Checkpoint,
        end: Checkpoint,
        losses: Losses,
        seen: list[Evaluation],
        runner: str,
    ) -> Block:
        """What a run of iterations leaves: from ``start`` to the state in ``end``."""
        counters = stopping.remember(self.plan.spec.convergence, end.counters, losses)
        end = replace(end, iteration=start.iteration + len(losses), counters=counters)
        return Block(start.iteration, losses, tuple(seen), end, runner)

    def evaluates_at(self, n: int) -> bool:
        """Whether the validation data are to be evaluated before update ``n``."""
        return self.evaluates and self.plan.evaluates_at(n)

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

    def stops_early(self, now: Checkpoint) -> bool:
        """Whether patience is at an end."""
        rule = self.plan.spec.early_stopping
        if rule is None or self.until is not None:
            return False
        return now.counters.without_improvement >= rule.patience

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

    def diverged(self, start: Checkpoint, block: Block, at: int, again: Rerun) -> Block:
        """The block up to the loss that was no longer finite, and the state that had this loss."""
        last = block.first + at
        end = again(start, last).checkpoint
        weights = Weights(end.state.parameters, end.state.buffers)
        return replace(
            block,
            losses=block.losses[: at + 1],
            evaluations=tuple(e for e in block.evaluations if e.iteration <= last),
            checkpoint=end,
            outcome=Outcome("diverged", last, weights, {}),
        )
