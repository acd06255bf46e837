"""What a job is trained or replayed from: its segments, its data, its checkpoints."""

from collections.abc import Callable

from app.services.datasets import dataset_repository
from app.services.jobs import checkpoints, lineage
from app.tables import Checkpoint as CheckpointRow
from app.tables import Dataset, Job
from training.datasets.uploaded import Opener
from training.engine import checkpoint
from training.engine.blocks import Checkpoint
from training.spec.plan import Segment
from training.tensors.numerics import Numerics
from worker.process.worker_process import WorkerProcess


def segments_of(child: WorkerProcess, job: Job) -> tuple[Segment, ...]:
    """The plans that rule a job's iterations."""
    with child.database.session(write=False) as session:
        log = lineage.interventions(session, [job.id])[job.id] if job.interventions else []
        return lineage.segments(job, log, dataset_repository.finder(session))


def arrays_of(child: WorkerProcess) -> Opener:
    """Opens the arrays of uploaded data."""

    def find(dataset_id: str) -> Dataset:
        with child.database.session(write=False) as session:
            return dataset_repository.get(session, dataset_id)

    return dataset_repository.opener(find, child.storage)


def fused(job: Job) -> bool | None:
    """The numerics class that was committed with the job; ``None``: not decided yet."""
    return None if job.execution is None else job.execution["class"] == "fused"


def newest_checkpoint(
    child: WorkerProcess,
    job: Job,
    numerics: Numerics,
    skipped: Callable[[CheckpointRow, Exception], None],
    last: int | None = None,
) -> Checkpoint | None:
    """The newest checkpoint, up to iteration ``last``, that can be read; ``None``: from the start.

    ``skipped`` is called for each that cannot be read. One may go just now: a running job thins its
    checkpoints, those of others expire.
    """
    with child.database.session(write=False) as session:
        rows = checkpoints.newest_first(session, job.id, last)
    _, found = checkpoints.from_newest_readable(
        rows,
        lambda row: checkpoint.decode(child.storage.get(row.location, row.sha256), numerics),
        skipped,
    )
    return found
