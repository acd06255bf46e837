"""What blocks leave in the database: those of one job, or of several, in one transaction.

It begins with the fence of every job: nothing is written of one that is not ours any more.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.orm import Session

from app.database.upsert import execute_many, insert, insert_on
from app.services.jobs import event_log
from app.services.jobs.transitions import transition_locked
from app.services.models import add_version
from app.services.operations import counters
from app.storage import Stored
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job, MetricChunk, MetricLevel
from training.engine.blocks import Checkpoint
from worker.maintenance.checkpoint_retention import thin
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import AttemptEnd
from worker.queue.fence import write


@dataclass(frozen=True)
class Prepared:
    """All that a transaction will say of a job: changes of its row, chunks, what chunks that close
    bring to the levels, findings, files already on the disk, and the end of the attempt.

    ``counts``: what it adds to the operator's counters. ``state``: of the training, after it.
    """

    job: Job
    changes: dict[str, Any]
    chunks: list[dict[str, Any]]
    levels: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    checkpoint: dict[str, Any] | None
    model: Stored | None
    end: AttemptEnd | None
    counts: counters.Counts
    state: Checkpoint


def check_fence(session: Session, prepared: Prepared) -> str:
    """The job's row, first: raises ``Lost`` or ``Intervened``. Its state, which others may have
    changed."""
    return write(session, prepared.job, prepared.job.interventions, **prepared.changes)


def record(session: Session, child: WorkerProcess, parts: Sequence[tuple[Prepared, str]]) -> None:
    """All else, of all jobs whose fence was checked, each with its state: one statement for what is
    of one kind."""
    counts = Counter[tuple[counters.Kind, str]]()
    execute_many(session, replacing, [row for prepared, _ in parts for row in prepared.chunks])
    execute_many(session, adding, [row for prepared, _ in parts for row in prepared.levels])
    for prepared, state in parts:
        for finding in prepared.findings:
            event_log.record(session, prepared.job.id, "finding", finding)
        if prepared.checkpoint is not None:
            row = insert(session, CheckpointRow).values(**prepared.checkpoint)
            session.execute(row.on_conflict_do_nothing())
            thin(session, child.storage, prepared.job.id)
        if prepared.end is not None:
            end(session, prepared, prepared.end, state)
        counts.update(prepared.counts)
    counters.add(session, counts, shard=child.id)


def end(session: Session, prepared: Prepared, over: AttemptEnd, state: str) -> None:
    """The attempt is over; what it leaves becomes the next version under the job's name."""
    job, left = prepared.job, dict[str, Any]()
    if prepared.model is not None:
        version = add_version(session, job, prepared.model)
        left = {"model": {"name": job.name, "version": version.version, "id": version.id}}
    transition_locked(session, job, state, over.arrow, over.reason, **over.values, **left)


@cache
def replacing(dialect: str) -> Executable:
    """Chunks, each in the place of the shorter one that is there."""
    new = insert_on(dialect, MetricChunk)
    return new.on_conflict_do_update(
        index_elements=["job_id", "series", "first_iteration"],
        set_={"values": new.excluded["values"]},
    )


@cache
def adding(dialect: str) -> Executable:
    """Rows of levels, each unless it is there: what it stands for never changes."""
    return insert_on(dialect, MetricLevel).on_conflict_do_nothing()
