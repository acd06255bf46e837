"""Ends a job for what went wrong with it, in a sentence for whoever asked for it."""

import errno

import structlog
import torch
from sqlalchemy import select

from app.database.base import db_now
from app.services.jobs.transitions import transition
from app.storage import DamagedFile, is_full
from app.tables import Job
from training.spec.mistakes import Mistakes
from training.tensors.data import UnfitData
from training.tensors.numerics import Unavailable
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import failed
from worker.queue.fence import LeaseLost, write

log = structlog.get_logger()

RETRYABLE = ("resource", "infrastructure")
"""Categories of errors that another attempt, another place or another day may not have."""
NO_MEMORY = ("can't allocate memory", "can't start new thread")


def fail(
    child: WorkerProcess, job: Job, category: str, code: str, message: str, cause: BaseException
) -> None:
    """Ends a job that cannot go on; what it has recorded stays."""
    log.error("job failed", category=category, code=code, exc_info=cause)
    try:
        with child.database.session() as session:
            write(session, job, lease_expires_at=db_now(child.settings.lease_seconds))
            at = session.scalars(select(Job.iteration).where(Job.id == job.id)).one()
            end = failed(category, code, message, at, retryable=category in RETRYABLE)
            transition(session, job.id, end.arrow, end.reason, **end.values)
    except LeaseLost:
        log.info("the failure is not recorded: the job was lost before")


def fail_job(child: WorkerProcess, job: Job, error: Exception) -> None:
    """Ends a job for what went wrong with it."""
    match error:
        case LeaseLost():
            log.info("job lost", reason=str(error))
        case Mistakes():  # the rules, or the limits of a fork's parents, have changed since
            message = f"the specification is not accepted any more: {error}"
            fail(child, job, "specification", "invalid_specification", message[:1000], error)
        case UnfitData():
            fail(child, job, "data", error.code, str(error), error)
        case Unavailable():
            fail(child, job, "resource", "precision_unavailable", str(error), error)
        case DamagedFile():  # of checkpoints another one is tried
            message = "the file of the data set is damaged; upload it again"
            fail(child, job, "data", "dataset_damaged", message, error)
        case _:
            fail(child, job, *classify_error(error), error)


def classify_error(error: Exception) -> tuple[str, str, str]:
    """Category, code and sentence for what the job itself has done nothing for."""
    if out_of_memory(error):
        return "resource", "out_of_memory", "the job needs more memory than there is"
    if is_full(error):
        sentence = "the disk of the service is full; a retry goes on from the last checkpoint"
        return "infrastructure", "storage_full", sentence
    if isinstance(error, OSError):
        sentence = f"a file could not be written or read: {error.strerror}"
        return "infrastructure", "storage_failed", sentence
    return "internal", "internal", "the job failed on our side"


def out_of_memory(error: Exception) -> bool:
    """torch has an error of its own for a full GPU, and none for a full machine; Python has none
    for a thread that finds no room for its stack."""
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    missing = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return full or missing or any(sentence in str(error) for sentence in NO_MEMORY)
