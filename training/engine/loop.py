"""The loop: blocks of iterations, of one job or of several side by side, until they end."""

from collections.abc import Iterator, Sequence

from training.engine.blocks import Block, Checkpoint
from training.engine.fused_group import FusedGroup
from training.engine.group import Group, SingleJobGroup
from training.engine.job import TrainingJob
from training.engine.segments import SegmentedJob
from training.spec.plan import Segment
from training.tensors.data import Data
from training.tensors.numerics import Numerics

SECOND_BLOCK_SECONDS = 0.01
BLOCK_SECONDS = 0.2
"""The first block is a single iteration, so that a loss is seen at once; from the second on they
double up to this length."""


class Loop:
    """Trains jobs side by side, block by block. They may change between two blocks: one that is
    new, or enters its next segment, gets a first block of one iteration again."""

    def __init__(self, longest_block_seconds: float = BLOCK_SECONDS) -> None:
        self.longest_block_seconds = longest_block_seconds
        self.group: Group | None = None
        self.last: list[Block] = []
        self.seconds = 0.0

    def blocks(self, jobs: Sequence[SegmentedJob]) -> list[Block]:
        """The next block of each job; as long a run of iterations for each."""
        group = self.group_for([job.training for job in jobs])
        blocks = group.blocks([job.checkpoint for job in jobs], self.seconds)
        for job, block in zip(jobs, blocks, strict=True):
            job.accept(block)
        self.last = blocks
        longer = max(2 * self.seconds, SECOND_BLOCK_SECONDS)
        self.seconds = min(longer, self.longest_block_seconds)
        return blocks

    def group_for(self, trainings: list[TrainingJob]) -> Group:
        known = [] if self.group is None else self.group.jobs
        if self.group is None or known != trainings:
            if not set(trainings) <= set(known):
                self.seconds = 0.0
            self.group = group_of(trainings)
        elif self.last:
            # Only now, when the caller has recorded the last blocks: a trace takes its time.
            self.group.hasten(self.last)
        self.last = []
        return self.group


def train(
    segments: Sequence[Segment],
    data: Data,
    numerics: Numerics,
    resume: Checkpoint | None = None,
    *,
    fused: bool | None = None,
) -> Iterator[Block]:
    """Trains a job from the start, or from where ``resume`` stood, and yields what happened.

    The series and the final weights are a function of (segments, fingerprint, numerics class):
    where blocks end, how often a job was resumed, and what is trained beside it, changes no bit.
    """
    job, loop = SegmentedJob(segments, data, numerics, resume, fused=fused), Loop()
    while True:
        (block,) = loop.blocks([job])
        yield block
        if block.outcome is not None:
            return


def group_of(jobs: Sequence[TrainingJob]) -> Group:
    """One job, or several of one signature that may be fused, as what trains them."""
    if jobs[0].fused:
        return FusedGroup(jobs)
    (job,) = jobs
    return SingleJobGroup([job])
