"""The answers, as documents."""

from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, PlainSerializer

from app.numbers import speakable
from app.services.points import Points
from app.services.standing import Standing
from app.tables import Event, Job, Task

Number = float | Literal["NaN", "Infinity", "-Infinity"]
Time = Annotated[
    datetime,
    PlainSerializer(lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.") + f"{t.microsecond // 1000:03d}Z"),
]
"""RFC 3339, UTC, milliseconds."""


class Document(BaseModel):
    """Answers hold exactly what is declared."""

    model_config = ConfigDict(extra="forbid")


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


class TaskDocument(Document):
    """A question to a worker, and its answer once there is one."""

    id: str
    object: Literal["task"] = "task"
    job: str
    state: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: Time
    finished_at: Time | None


class PointsDocument(Document):
    """A series: iterations ascending, and the value at each."""

    iteration: list[int]
    value: list[Number]


class EventDocument(Document):
    """An entry of a job's log; ``sequence``: its number in all that the job tells, ``iteration``:
    how many losses were recorded when it happened."""

    id: str
    object: Literal["event"] = "event"
    job: str
    sequence: int
    type: str
    iteration: int
    data: dict[str, Any]
    created_at: Time


class EventList(Document):
    """A page of a log, the oldest first."""

    data: list[EventDocument]
    has_more: bool
    next: int | None


class MetricsDocument(Document):
    """Recorded series; ``last`` is the newest iteration given of each, ``next_after`` where the
    following page begins after.

    With ``points``: whether any was left out, and how many there are of each series.
    """

    job: str
    series: dict[str, PointsDocument]
    last: dict[str, int]
    state: str
    complete: bool
    next_after: int | None
    sampled: bool = False
    count: dict[str, int] | None = None


class IterationDocument(Document):
    """The state before update ``iteration``; after the last one there is no loss and no update."""

    iteration: int
    loss: Number | None
    lr: float | None
    exact: bool
    parameters: dict[str, dict[str, Any]]


class ExplanationDocument(Document):
    """The derivative of one example's loss C by one weight, and what the weight's update was.

    ``backward.factors`` are ∂C/∂z and ∂z/∂w at the places of the layer's output z that the weight
    moves; their products add up to ``backward.gradient``.
    """

    iteration: int
    weight: dict[str, Any]
    example: dict[str, Any]
    forward: dict[str, Any]
    backward: dict[str, Any]
    finite_difference: dict[str, Number]
    update: dict[str, Number] | None


def job_document(job: Job, standing: Standing) -> JobDocument:
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


def task_document(task: Task) -> TaskDocument:
    """A task as clients see it."""
    return TaskDocument(
        id=task.id,
        job=task.job_id,
        state=task.state,
        result=task.result,
        error=task.error,
        created_at=task.created_at,
        finished_at=task.finished_at,
    )


def event_document(event: Event) -> EventDocument:
    """An entry of a log as clients see it."""
    return EventDocument(
        id=event.id,
        job=event.job_id,
        sequence=event.sequence,
        type=event.type,
        iteration=event.iteration,
        data=event.data,
        created_at=event.created_at,
    )


def points_document(points: Points) -> dict[str, list[Any]]:
    """A series: float32 widened to float64 is the stored number, exactly."""
    values = points.values.astype(float).tolist()
    for place in np.flatnonzero(~np.isfinite(points.values)).tolist():
        values[place] = speakable(values[place])
    return {"iteration": points.iterations.tolist(), "value": values}
