"""The answers, as documents."""

from typing import Any, Literal

from app.api.schemas.base import Document, Number, Time
from app.services.jobs.queue_position import QueueStatus
from app.tables import Job


class Progress(Document):
    """How far a job is. ``fraction`` of the planned iterations; seconds at the present pace."""

    iteration: int
    iterations: int
    epoch: float
    fraction: float
    eta_seconds: float | None


class QueuePlace(Document):
    """Why a job waits, and how many would be claimed before it, plus one."""

    reason: str
    position: int


class ForkOf(Document):
    """The job that this one was, up to ``iteration``."""

    job: str
    iteration: int


class InterventionDocument(Document):
    """A change of a job's course; ``iteration`` is the first one it applies to."""

    iteration: int
    changes: dict[str, Any]
    created_at: Time


class JobDocument(Document):
    """A job as clients see it."""

    id: str
    object: Literal["job"] = "job"
    name: str
    state: str
    state_reason: str | None
    spec: dict[str, Any]
    priority: int
    progress: Progress
    latest: dict[str, Number]
    best: dict[str, Number]
    queue: QueuePlace | None
    attempts: int
    device: str | None
    worker: str | None
    execution: dict[str, Any] | None
    result: dict[str, dict[str, Number]] | None
    model: dict[str, Any] | None
    error: dict[str, Any] | None
    retry_of: str | None
    forked_from: ForkOf | None
    interventions: list[InterventionDocument]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    metadata: dict[str, str]


class JobList(Document):
    """A page of jobs, newest first."""

    data: list[JobDocument]
    has_more: bool
    next: str | None


class JobBatch(Document):
    """Jobs that were queued together, in the order of the request."""

    data: list[JobDocument]


def job_document(job: Job, standing: QueueStatus) -> JobDocument:
    """A job as clients see it."""
    place = standing.place
    return JobDocument(
        id=job.id,
        name=job.name,
        state=job.state,
        state_reason=job.state_reason,
        spec=job.spec,
        priority=job.priority,
        progress=progress(job),
        latest=job.latest,
        best=job.best,
        queue=QueuePlace(**place._asdict()) if place else None,
        attempts=job.attempts,
        device=job.device,
        worker=job.worker,
        execution=job.execution,
        result=job.result,
        model=job.model,
        error=job.error,
        retry_of=job.retry_of,
        forked_from=ForkOf(**job.forked_from) if job.forked_from else None,
        interventions=[
            InterventionDocument(
                iteration=row.iteration, changes=row.changes, created_at=row.created_at
            )
            for row in standing.interventions
        ],
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        metadata=job.labels,
    )


def progress(job: Job) -> Progress:
    """From the counters of the job; the pace is that of the present attempt."""
    return Progress(
        iteration=job.iteration,
        iterations=job.iterations,
        epoch=round(job.epoch, 3),
        fraction=round(job.iteration / job.iterations, 4),
        eta_seconds=eta(job),
    )


def eta(job: Job) -> float | None:
    """Seconds of training left, while there is a pace to go by."""
    done = job.attempt_iteration - job.attempt_first_iteration
    if job.state != "running" or not done or not job.progressed_at or not job.attempt_started_at:
        return None
    elapsed = (job.progressed_at - job.attempt_started_at).total_seconds()
    return round(max(0.0, elapsed) / done * (job.iterations - job.attempt_iteration), 1)
