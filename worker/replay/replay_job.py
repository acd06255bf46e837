"""The course of a job that was trained before, ready to be taken again."""

from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from app.services.metrics import reader
from app.services.metrics.points import Points
from app.services.metrics.reader import Selection
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job
from training.engine.blocks import Checkpoint
from training.engine.replay import IterationState, replay
from training.tensors.numerics import Numerics
from worker.process.job_inputs import arrays_of, fused, newest_checkpoint, segments_of
from worker.process.worker_process import WorkerProcess

log = structlog.get_logger()

ALL_POINTS_COUNT = 1 << 40
"""More points than a series has."""


class ReplayJob:
    """A job with its plans (``plan``: that of its last segment) and its data."""

    def __init__(self, child: WorkerProcess, job: Job) -> None:
        self.child = child
        self.job = job
        self.segments = segments_of(child, job)
        self.plan = self.segments[-1].plan
        self.numerics = Numerics.on(child.device, job.spec["precision"])
        self.arrays = arrays_of(child)
        self.data = child.shelf.load(self.plan, self.numerics, self.arrays)

    def moment(self, n: int, progress: Callable[[], None]) -> IterationState:
        """Iteration ``n`` again, from the nearest checkpoint; ``progress`` is called on the way."""
        nearest = self.nearest_checkpoint(n)
        return replay(
            self.segments,
            self.data,
            self.numerics,
            n,
            nearest,
            self.job.iteration,
            progress,
            fused=fused(self.job),
        )

    def nearest_checkpoint(self, n: int) -> Checkpoint | None:
        """The newest checkpoint at or before iteration ``n`` that can be read; without one, a
        replay starts at 0."""

        def skipped(row: CheckpointRow, error: Exception) -> None:
            log.warning("checkpoint unreadable, trying the one before", reason=str(error))

        return newest_checkpoint(self.child, self.job, self.numerics, skipped, n)

    def recorded(
        self, name: str, after: int | None = None, limit: int = ALL_POINTS_COUNT
    ) -> Points:
        """What was recorded of a series past iteration ``after``."""
        with self.child.database.session(write=False) as session:
            return reader.read(session, self.job, [name], Selection(after), limit).series[name]

    def exact(self, moment: IterationState) -> bool:
        """Whether this process computes as the job's did, and found the loss that is recorded."""
        if not self.same_numerics:
            return False
        if moment.loss is None:
            return True
        found = np.array([moment.loss], dtype=np.float32)
        return same_bits(found, self.recorded("loss", moment.iteration - 1, 1).values)

    @property
    def same_numerics(self) -> bool:
        """Whether bits may be expected to be equal here."""
        return (self.job.execution or {}).get("fingerprint") == self.numerics.fingerprint()


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Compared as integers: NaN is NaN, and 0 is not −0."""
    return np.array_equal(a.view(np.int32), b.view(np.int32))
