"""Tasks and what they answer, as documents."""

from typing import Any, Literal

from app.api.schemas.base import Document, Number, Time
from app.tables import Task


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
