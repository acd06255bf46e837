"""One attempt at one job: the engine is asked for blocks until there is a reason to stop."""

import errno
import time
from collections.abc import Iterator
from typing import Any

import structlog
import torch
from sqlalchemy import select

from app.db import clock
from app.services import events
from app.services.control import move
from app.storage import DamagedFile, is_full
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job, JobState
from training import checkpoint
from training.blocks import Block, Checkpoint
from training.course import follow
from training.data import UnfitData
from training.mistakes import Mistakes
from training.numerics import Numerics, Unavailable
from training.tensorfile import UnreadableFile
from worker.child import Child
from worker.course import arrays_of, legs_of
from worker.ends import AT_REST, GIVEN_BACK, End, failed, out_of_time
from worker.fence import Intervened, Lost, write
from worker.lease import Heartbeat
from worker.recorder import Entry, Recorder
from worker.sink import Sink

log = structlog.get_logger()

RETRYABLE = ("resource", "infrastructure")
"""Categories of errors that another attempt, another place or another day may not have."""
NO_MEMORY = ("can't allocate memory", "can't start new thread")


def attempt(child: Child, job: Job, claimed_at: float) -> None:
    """One attempt at a job: from its newest checkpoint to its end, unless something intervenes."""
    with Heartbeat(child, job, claimed_at, job.running_seconds) as heartbeat:
        legs = legs_of(child, job)
        numerics = Numerics.on(child.device, job.spec["precision"])
        data = child.shelf.load(legs[-1].plan, numerics, arrays_of(child))
        start = newest(child, job, numerics)
        if job.iteration:
            compare_numerics(child, job, numerics)
        log.info("job begins", resumed_at=start.iteration if start else 0, attempt=job.attempts)
        while True:
            recorder = Recorder(child, job, legs, data, start, heartbeat.running_seconds)
            try:
                run(child, heartbeat, recorder, follow(legs, data, numerics, start))
            except Intervened:
                job = seen_again(child, job)
                legs, start = legs_of(child, job), recorder.durable
                log.info("job takes another course", iteration=job.iteration)
            else:
                return


def run(child: Child, heartbeat: Heartbeat, recorder: Recorder, blocks: Iterator[Block]) -> None:
    """Asks for blocks and hands them over, until the last one or a reason to stop."""
    every = recorder.plan.spec.checkpoint_every_seconds
    with Sink(recorder, heartbeat) as sink:
        saved_at = time.monotonic()
        for block in blocks:
            end = None if block.outcome else reason_to_stop(child, recorder, block)
            due = time.monotonic() - saved_at >= every
            if save := (due or end is not None) and block.outcome is None:
                saved_at = time.monotonic()
            sink.put(Entry(block, save, end))
            heartbeat.progress()
            if block.first == 0:
                sink.flush()  # the first losses are seen before the next are computed
            if end is not None:
                log.info("attempt ends", reason=end.reason, iteration=block.checkpoint.iteration)
                return
            if heartbeat.lost.is_set():
                raise Lost("the lease is held by somebody else")
    log.info("job ended")


def seen_again(child: Child, job: Job) -> Job:
    """The row as it is now, if it is still ours."""
    with child.database.session(write=False) as session:
        now = session.scalar(select(Job).where(Job.id == job.id, Job.fence == job.fence))
    if now is None:
        raise Lost("the job was taken away while its course changed")
    return now


def reason_to_stop(child: Child, recorder: Recorder, block: Block) -> End | None:
    """Why no further block is asked for, though there would be more."""
    if child.draining.is_set():
        return GIVEN_BACK
    limit = recorder.plan.spec.time_limit_seconds
    if limit is not None and recorder.running_seconds() >= limit:
        return out_of_time(limit, block.checkpoint.iteration, recorder.plan.iterations)
    return AT_REST if recorder.state == JobState.PAUSING else None


def newest(child: Child, job: Job, numerics: Numerics) -> Checkpoint | None:
    """The newest checkpoint that can be read, or ``None``: from the start."""
    if not job.iteration:  # no checkpoint is written before a loss is
        return None
    with child.database.session(write=False) as session:
        rows = session.scalars(
            select(CheckpointRow)
            .where(CheckpointRow.job_id == job.id)
            .order_by(CheckpointRow.iteration.desc())
        ).all()
    for row in rows:
        try:
            found = checkpoint.decode(child.storage.get(row.location, row.sha256), numerics)
        except (DamagedFile, UnreadableFile) as error:
            log.error("checkpoint unreadable, trying the one before", reason=str(error))
            why = "damaged" if isinstance(error, DamagedFile) else str(error)
            unreadable = {"finding": "checkpoint_unreadable", "iteration": row.iteration}
            tell(child, job, "finding", unreadable | {"reason": why})
        else:
            tell(child, job, "resumed", {"iteration": found.iteration, "attempt": job.attempts})
            return found
    return None


def compare_numerics(child: Child, job: Job, numerics: Numerics) -> None:
    """Says so when a job goes on where its bits may be others: another torch, another device."""
    begun_with, here = (job.execution or {}).get("fingerprint"), numerics.fingerprint()
    if begun_with != here:
        told = {"fingerprint": here, "begun_with": begun_with, "torch": str(torch.__version__)}
        tell(child, job, "finding", {"finding": "numerics_differ"} | told)


def tell(child: Child, job: Job, type_: str, data: dict[str, Any]) -> None:
    """An entry of the job's log, while it is ours."""
    with child.database.session() as session:
        write(session, job, lease_expires_at=clock(child.settings.lease_seconds))
        events.record(session, job.id, type_, data)


def fail(
    child: Child, job: Job, category: str, code: str, message: str, cause: BaseException
) -> None:
    """Ends a job that cannot go on; what it has recorded stays."""
    log.error("job failed", category=category, code=code, exc_info=cause)
    try:
        with child.database.session() as session:
            write(session, job, lease_expires_at=clock(child.settings.lease_seconds))
            at = session.scalars(select(Job.iteration).where(Job.id == job.id)).one()
            end = failed(category, code, message, at, retryable=category in RETRYABLE)
            move(session, job.id, end.arrow, end.reason, **end.values)
    except Lost:
        log.info("the failure is not recorded: the job was lost before")


def answer_for(child: Child, job: Job, error: Exception) -> None:
    """Ends a job for what went wrong with it."""
    match error:
        case Lost():
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
            fail(child, job, *blamed(error), error)


def blamed(error: Exception) -> tuple[str, str, str]:
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
