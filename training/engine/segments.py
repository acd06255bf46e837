"""A job along its segments: what a fork descends from rules the iterations before it."""

from collections.abc import Sequence
from dataclasses import replace

from training.engine.blocks import Block, Checkpoint
from training.engine.job import TrainingJob
from training.engine.stopping import Counters
from training.spec.job_spec import JobSpec
from training.spec.plan import Segment
from training.tensors.data import Data
from training.tensors.numerics import Numerics
from training.validation.fusion_rules import why_not_fusable


class SegmentedJob:
    """A job on its way: ``checkpoint`` is where it stands, ``training`` what computes its next
    update, which changes at the border of two segments.

    ``resume``: the state to go on from; without one the job begins at iteration 0.
    ``fused``: the numerics class that was committed with the job; ``None``: the class by the rule
    for the last segment. ``stop``: the iteration at which the job is only passing by, so that no
    stop rule ends it there. ``evaluates``: whether the validation data are evaluated on the way.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        data: Data,
        numerics: Numerics,
        resume: Checkpoint | None = None,
        *,
        fused: bool | None = None,
        stop: int | None = None,
        evaluates: bool = True,
    ) -> None:
        if fused is None:
            fused = why_not_fusable(segments[-1].plan, numerics.device.type) is None
        self.segments = segments
        self.data = data
        self.numerics = numerics
        self.fused = fused
        self.stop = stop
        self.evaluates = evaluates
        self.number = 0
        self.training = self.training_of(segments[0])
        # The first weights are those of the first segment, even if it rules no iteration.
        self.checkpoint = resume or self.training.beginning()
        self.pass_borders()

    def training_of(self, segment: Segment) -> TrainingJob:
        ends = [n for n in (segment.until, self.stop) if n is not None]
        return TrainingJob(
            segment.plan,
            self.data,
            self.numerics,
            min(ends, default=None),
            fused=self.fused,
            evaluates=self.evaluates,
        )

    def accept(self, block: Block) -> None:
        """Goes on from the end of a block that was computed by ``training``."""
        self.checkpoint = block.checkpoint
        if block.outcome is None:
            self.pass_borders()

    def pass_borders(self) -> None:
        """Enters the segment that rules the next iteration."""
        before = self.number
        while (until := self.segments[self.number].until) is not None:
            if self.checkpoint.iteration < until:
                break
            old, new = self.segments[self.number], self.segments[self.number + 1]
            if self.checkpoint.iteration == until:
                self.checkpoint = enter(self.checkpoint, old.plan.spec, new.plan.spec)
            self.number += 1
        if self.number != before:
            self.training = self.training_of(self.segments[self.number])


def segment_at(segments: Sequence[Segment], n: int) -> Segment:
    """The segment that rules iteration ``n``."""
    return next(s for s in segments if s.until is None or n < s.until)


def enter(checkpoint: Checkpoint, before: JobSpec, after: JobSpec) -> Checkpoint:
    """The state at the border of two segments: a stop rule that was changed counts anew."""
    counters = checkpoint.counters
    if before.loss != after.loss:
        return replace(checkpoint, counters=Counters(), best=None)
    if before.convergence != after.convergence:
        counters = replace(counters, tail=())
    if before.early_stopping == after.early_stopping:
        return replace(checkpoint, counters=counters)
    counters = replace(counters, best=None, best_iteration=None, without_improvement=0)
    return replace(checkpoint, counters=counters, best=None)
