"""What a worker holds while it trains, driven by hand: a block computed, a block written.

The recorder, the checkpoints and the reasons to stop are the real ones; only the numbers come from
an engine of one line (``model.walked``), which depends on all that was before as training does.
"""

import torch
from sqlalchemy import select

from app.tables import Checkpoint as CheckpointRow
from app.tables import Job
from tests.specifications import ONE_WEIGHT
from tests.worker.model import LIMIT, walked
from training.blocks import Block, Checkpoint, Outcome, Weights
from training.check import check
from training.data import load
from training.numerics import Numerics
from training.plan import Leg
from training.step import State
from worker.attempt import newest, reason_to_stop, seen_again
from worker.child import Child
from worker.course import legs_of
from worker.fence import Intervened
from worker.recorder import Entry, Recorder
from worker.transaction import Prepared

NUMERICS = Numerics.on("cpu")
PLANS = [check(ONE_WEIGHT | {"iterations": LIMIT, "priority": p}) for p in range(3)]
DATA = load(PLANS[0], NUMERICS)


class Attempt:
    """What a worker has in its hands: it may have lost the job long ago, and not know it."""

    def __init__(self, child: Child, job: Job) -> None:
        self.child = child
        self.job = job
        self.recorder: Recorder | None = None
        self.spool: list[Prepared] = []

    def begin(self) -> None:
        """From the newest checkpoint, as every attempt."""
        self.follow(legs_of(self.child, self.job), newest(self.child, self.job, NUMERICS))

    def follow(self, legs: tuple[Leg, ...], start: Checkpoint | None) -> None:
        """Goes on from there; what was in the spool is dropped."""
        self.recorder = Recorder(self.child, self.job, legs, DATA, start, lambda: 1.0)
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
        end = None if outcome else reason_to_stop(self.child, self.recorder, block)
        save = outcome is None and (save or end is not None)
        self.spool.append(self.recorder.prepare(Entry(block, save, end)))
        self.over = outcome is not None or end is not None

    def write(self, *, twice: bool) -> Prepared:
        """Commits the oldest block, or sends it once more: the answer was lost."""
        assert self.recorder is not None
        prepared = self.spool.pop(0)
        try:
            for _ in range(1 + twice):
                self.recorder.commit(prepared)
        except Intervened:
            self.job = seen_again(self.child, self.job)
            self.follow(legs_of(self.child, self.job), self.recorder.durable)
            raise
        finally:
            self.a_row_names_what_is_left_of(prepared)
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
