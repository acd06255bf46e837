"""Where an attempt begins: at the newest checkpoint that can be read."""

from typing import Any

import structlog
import torch
from sqlalchemy import select

from app.database.base import db_now
from app.services.jobs import event_log
from app.storage import DamagedFile
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job
from training.engine.blocks import Checkpoint
from training.tensors.numerics import Numerics
from worker.process.job_inputs import newest_checkpoint
from worker.process.worker_process import WorkerProcess
from worker.queue.fence import LeaseLost, write

log = structlog.get_logger()


def latest_checkpoint(child: WorkerProcess, job: Job, numerics: Numerics) -> Checkpoint | None:
    """The newest checkpoint that can be read, or ``None``: from the start. The job's log says
    which, and which were skipped."""
    if not job.iteration:  # no checkpoint is written before a loss is
        return None

    def skipped(row: CheckpointRow, error: Exception) -> None:
        log.error("checkpoint unreadable, trying the one before", reason=str(error))
        reason = "damaged" if isinstance(error, DamagedFile) else str(error)
        finding = {"finding": "checkpoint_unreadable", "iteration": row.iteration}
        record_event(child, job, "finding", finding | {"reason": reason})

    checkpoint = newest_checkpoint(child, job, numerics, skipped)
    if checkpoint is not None:
        resumed = {"iteration": checkpoint.iteration, "attempt": job.attempts}
        record_event(child, job, "resumed", resumed)
    return checkpoint


def compare_numerics(child: WorkerProcess, job: Job, numerics: Numerics) -> None:
    """Tells the job's log when its bits may differ from here on: another torch, another device."""
    begun_with, here = (job.execution or {}).get("fingerprint"), numerics.fingerprint()
    if begun_with != here:
        data = {"fingerprint": here, "begun_with": begun_with, "torch": str(torch.__version__)}
        record_event(child, job, "finding", {"finding": "numerics_differ"} | data)


def record_event(child: WorkerProcess, job: Job, type_: str, data: dict[str, Any]) -> None:
    """An entry of the job's log, while the job is ours."""
    with child.database.session() as session:
        write(session, job, lease_expires_at=db_now(child.settings.lease_seconds))
        event_log.record(session, job.id, type_, data)


def reload_job(child: WorkerProcess, job: Job) -> Job:
    """The row as it is now; raises ``Lost`` if it is not ours any more."""
    with child.database.session(write=False) as session:
        now = session.scalar(select(Job).where(Job.id == job.id, Job.fence == job.fence))
    if now is None:
        raise LeaseLost("the job was taken away while its course changed")
    return now
