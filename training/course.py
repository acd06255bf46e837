"""A job's course in legs: what a fork descends from rules the iterations before it, to the bit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from training.blocks import Block, Checkpoint
from training.data import Data
from training.job import Training
from training.numerics import Numerics
from training.plan import Leg
from training.run import train
from training.spec import JobSpec
from training.stopping import Counters


def follow(
    legs: Sequence[Leg], data: Data, numerics: Numerics, resume: Checkpoint | None = None
) -> Iterator[Block]:
    """Trains leg after leg, from the start or from where ``resume`` stood."""
    start = resume or beginning(legs, data, numerics)
    before: Leg | None = None
    for leg in legs:
        if before is not None and start.iteration == before.until:
            start = entered(start, before.plan.spec, leg.plan.spec)
        if leg.until is None or start.iteration < leg.until:
            for block in train(leg.plan, data, numerics, start, leg.until):
                yield block
                start = block.checkpoint
        before = leg


def beginning(legs: Sequence[Leg], data: Data, numerics: Numerics) -> Checkpoint:
    """The state before iteration 0: that of the first leg, even if it rules no iteration."""
    return Training(legs[0].plan, data, numerics).beginning()


def ruling(legs: Sequence[Leg], n: int) -> Leg:
    """The leg that rules iteration ``n``."""
    return next(leg for leg in legs if leg.until is None or n < leg.until)


def entered(checkpoint: Checkpoint, before: JobSpec, after: JobSpec) -> Checkpoint:
    """The state at the border of two legs: a stop rule that was changed begins to count anew."""
    counters = checkpoint.counters
    if before.loss != after.loss:
        return replace(checkpoint, counters=Counters(), best=None)
    if before.convergence != after.convergence:
        counters = replace(counters, tail=())
    if before.early_stopping == after.early_stopping:
        return replace(checkpoint, counters=counters)
    counters = replace(counters, best=None, best_iteration=None, without_improvement=0)
    return replace(checkpoint, counters=counters, best=None)
