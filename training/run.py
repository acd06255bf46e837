"""The loop: ``train`` yields blocks of iterations until the job ends or nobody asks for more."""

from collections.abc import Iterator, Sequence

from training.blocks import Block, Checkpoint
from training.data import Data
from training.fused import Fused
from training.group import Alone, Group
from training.job import Training
from training.numerics import Numerics
from training.plan import Plan

SECOND_BLOCK, BLOCK = 0.01, 0.2
"""Seconds: the first block is a single iteration, so that a loss is seen at once; from the second
on they double up to this length."""


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
    end, how often a job was resumed, and what is trained beside it, changes no bit.
    """
    job = Training(plan, data, numerics, until)
    group, start, seconds = group_of([job]), resume or job.beginning(), 0.0
    while start.iteration != until:
        (block,) = group.blocks([start], seconds)
        yield block
        if block.outcome is not None:
            return
        group.hasten([block])
        start, seconds = block.checkpoint, longer(seconds)


def group_of(jobs: Sequence[Training]) -> Group:
    """One job, or several of one signature that may be fused, as what trains them."""
    if jobs[0].fused:
        return Fused(jobs)
    (job,) = jobs
    return Alone([job])


def longer(seconds: float) -> float:
    """How long the block after one of so many seconds is."""
    return min(max(2 * seconds, SECOND_BLOCK), BLOCK)
