"""The course of a job that was trained before, ready to be taken again."""

from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import select

from app.services import datasets, lineage, metrics
from app.services.metrics import Selection
from app.services.points import Points
from app.storage import DamagedFile
from app.tables import Checkpoint as CheckpointRow
from app.tables import Dataset, Job
from training import checkpoint
from training.blocks import Checkpoint
from training.numerics import Numerics
from training.plan import Leg
from training.replay import Moment, replay
from training.stored import Opener
from training.tensorfile import UnreadableFile
from worker.child import Child

log = structlog.get_logger()

ALL = 1 << 40
"""More points than a series has."""


class Course:
    """A job with its plans (``plan``: that of its own last leg) and its data."""

    def __init__(self, child: Child, job: Job) -> None:
        self.child = child
        self.job = job
        self.legs = legs_of(child, job)
        self.plan = self.legs[-1].plan
        self.numerics = Numerics.on(child.device, job.spec["precision"])
        self.arrays = arrays_of(child)
        self.data = child.shelf.load(self.plan, self.numerics, self.arrays)

    def moment(self, n: int, progress: Callable[[], None]) -> Moment:
        """Iteration ``n`` again, from the nearest checkpoint; ``progress`` is called on the way."""
        nearest = self.nearest_checkpoint(n)
        last = self.job.iteration
        return replay(self.legs, self.data, self.numerics, n, nearest, last, progress)

    def nearest_checkpoint(self, n: int) -> Checkpoint | None:
        """The newest checkpoint at or before iteration ``n`` that can be read; without one, a
        replay starts at 0. One may go just now: a running job thins them, those of others expire.
        """
        mine = (CheckpointRow.job_id == self.job.id, CheckpointRow.iteration <= n)
        with self.child.database.session(write=False) as session:
            query = select(CheckpointRow).where(*mine)
            rows = session.scalars(query.order_by(CheckpointRow.iteration.desc())).all()
        for row in rows:
            try:
                content = self.child.storage.get(row.location, row.sha256)
                return checkpoint.decode(content, self.numerics)
            except (DamagedFile, UnreadableFile) as error:
                log.warning("checkpoint unreadable, trying the one before", reason=str(error))
        return None

    def recorded(self, name: str, after: int | None = None, limit: int = ALL) -> Points:
        """What was recorded of a series past iteration ``after``."""
        with self.child.database.session(write=False) as session:
            return metrics.read(session, self.job, [name], Selection(after), limit).series[name]

    def exact(self, moment: Moment) -> bool:
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


def legs_of(child: Child, job: Job) -> tuple[Leg, ...]:
    """The plans that rule a job's iterations."""
    with child.database.session(write=False) as session:
        log = lineage.interventions(session, [job.id])[job.id] if job.interventions else []
        return lineage.legs(job, log, datasets.finder(session))


def arrays_of(child: Child) -> Opener:
    """Opens the arrays of uploaded data."""

    def find(dataset_id: str) -> Dataset:
        with child.database.session(write=False) as session:
            return datasets.get(session, dataset_id)

    return datasets.opener(find, child.storage)


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Compared as integers: NaN is NaN, and 0 is not −0."""
    return np.array_equal(a.view(np.int32), b.view(np.int32))
