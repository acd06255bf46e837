"""What a worker holds while it trains, driven by hand: a block computed, a block written.

The recorder, the checkpoints and the reasons to stop are the real ones; only the numbers come from
an engine of one line (``model.walked``), which depends on all that was before as training does.
"""

import time

import torch
from sqlalchemy import select

from app.tables import Checkpoint as CheckpointRow
from app.tables import Job
from tests.specifications import ONE_WEIGHT
from tests.worker.model import LIMIT, walked
from training.engine.blocks import Block, Checkpoint, Outcome, Weights
from training.spec.plan import Segment
from training.step.step import State
from training.tensors.data import load
from training.tensors.numerics import Numerics
from training.validation.check import check
from worker.execution.group_writer import GroupWriter
from worker.execution.member import Member
from worker.execution.resume import latest_checkpoint, reload_job
from worker.process.job_inputs import segments_of
from worker.process.worker_process import WorkerProcess
from worker.queue.fence import PlanChanged
from worker.recording.recorder import Recorder
from worker.recording.transaction import Prepared

NUMERICS = Numerics.on("cpu")
PLANS = [check(ONE_WEIGHT | {"iterations": LIMIT, "priority": p}) for p in range(3)]
DATA = load(PLANS[0], NUMERICS)


class Attempt:
    """What a worker has in its hands: it may have lost the job long ago, and not know it."""

    def __init__(self, child: WorkerProcess, job: Job) -> None:
        self.child = child
        self.job = job
        self.recorder: Recorder | None = None
        self.spool: list[Prepared] = []

    def begin(self) -> None:
        """From the newest checkpoint, as every attempt."""
        start = latest_checkpoint(self.child, self.job, NUMERICS)
        self.follow(segments_of(self.child, self.job), start)

    def follow(self, segments: tuple[Segment, ...], start: Checkpoint | None) -> None:
        """Goes on from there; what was in the spool is dropped."""
        self.recorder = Recorder(self.child, self.job, segments, DATA, start, lambda: 1.0)
        self.member = Member(self.child, self.job, time.monotonic())
        self.member.recorder = self.recorder
        self.at = start.iteration if start else 0
        self.x = float(start.state.parameters) if start else 0.0
        self.spool, self.over, self.told_to_rest = [], False, False

    def compute(self, steps: int, *, save: bool) -> None:
        """The next block, which waits for the database then."""
        assert self.recorder is not None
        plan = self.recorder.plan
        until = min(self.at + steps, plan.iterations)
        losses, self.x = walked(self.x, range(self.at, until), plan.learning_rate)
        first, self.at = self.at, until
        state = State(torch.tensor([self.x], dtype=torch.float64), {}, {})
        outcome = None
        if until == plan.iterations:
            weights = Weights(state.parameters, {})
            outcome = Outcome("completed", until, weights, {"train": {"loss": self.x}})
        block = Block(first, losses, (), Checkpoint(until, state), "eager", outcome)
        end = self.member.reason_to_stop(block)
        save = outcome is None and (save or end is not None)
        self.spool.append(self.recorder.prepare(block, save=save, end=end))
        self.over = outcome is not None or end is not None

    def write(self, *, twice: bool) -> Prepared:
        """Commits the oldest block, or sends it once more: the answer was lost."""
        prepared = self.spool.pop(0)
        for _ in range(1 + twice):
            GroupWriter(self.child).transact([(self.member, prepared)])
            if self.member.failure is not None:
                break
        self.a_row_names_what_is_left_of(prepared)
        failure = self.member.failure
        if isinstance(failure, PlanChanged):
            self.job = reload_job(self.child, self.job)
            self.follow(segments_of(self.child, self.job), self.member.recorder.durable)
        if failure is not None:
            raise failure
        return prepared

    def a_row_names_what_is_left_of(self, prepared: Prepared) -> None:
        """And nothing is left of what was refused."""
        if prepared.checkpoint is None:
            return
        location = prepared.checkpoint["location"]
        with self.child.database.session(write=False) as session:
            named = session.scalar(
                select(CheckpointRow.id).where(CheckpointRow.location == location)
            )
        assert (self.child.storage.root / location).exists() == (named is not None)
