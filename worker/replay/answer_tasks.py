"""Questions about a job: the numbers are the training's own, computed where it was."""

import time
from typing import Any

import structlog
import torch
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from torch import Tensor

from app.database.base import db_now
from app.database.session import DATABASE_UNAVAILABLE
from app.jsonable import to_jsonable
from app.tables import Job, Task, TaskState
from training.engine.replay import IterationState
from worker.process.database_retry import retry_until_available
from worker.process.worker_process import WorkerProcess
from worker.queue.fence import LeaseLost, claim, held, oldest_queued, write
from worker.queue.heartbeat import Heartbeat
from worker.replay.explanation import explanation
from worker.replay.replay_job import ReplayJob
from worker.replay.verification import verification

log = structlog.get_logger()


def answer_next(child: WorkerProcess) -> bool:
    """Claims the oldest waiting question and answers it; false: none waits."""
    asked_at = time.monotonic()
    with child.database.session() as session:
        waiting = oldest_queued(session, Task)
        task = claim(session, Task, waiting, child.id, child.settings.lease_seconds)
    if task is None:
        return False
    with structlog.contextvars.bound_contextvars(
        task_id=task.id, job_id=task.job_id, request_id=task.request_id
    ):
        try:
            finish(child, task, **answered(child, task, asked_at))
        except LeaseLost:
            log.info("task lost")
        except DATABASE_UNAVAILABLE:
            log.exception("the database does not answer: the task is given back when it does")
            return give_back(child, task)
    return True


def give_back(child: WorkerProcess, task: Task) -> bool:
    """Lets it be asked again as soon as the database answers, if it is still ours; false: this
    process is to end before that."""

    def release(session: Session) -> None:
        ours = (Task.id == task.id, Task.fence == task.fence, held(Task))
        session.execute(update(Task).where(*ours).values(state=TaskState.QUEUED))

    return retry_until_available(child, release)


def answered(child: WorkerProcess, task: Task, claimed_at: float) -> dict[str, Any]:
    """How the task ends: with the answer, or with what went wrong."""
    try:
        with Heartbeat(child, task, claimed_at) as heartbeat:
            result = answer(child, task, heartbeat)
        return {"state": TaskState.SUCCEEDED, "result": to_jsonable(result)}
    except DATABASE_UNAVAILABLE:
        raise  # of which nothing can be said now
    except Exception as error:
        log.error("task failed", exc_info=error)
        failed = {"code": "internal", "message": "the job could not be computed again"}
        return {"state": TaskState.FAILED, "error": failed}


def answer(child: WorkerProcess, task: Task, heartbeat: Heartbeat) -> dict[str, Any]:
    """What was asked, by the kind of the question."""
    with child.database.session(write=False) as session:
        job = session.scalars(select(Job).where(Job.id == task.job_id)).one()
    course = ReplayJob(child, job)
    if task.arguments["kind"] == "verification":
        return verification(course, heartbeat.progress)
    moment = course.moment(task.arguments["iteration"], heartbeat.progress)
    if task.arguments["kind"] == "explanation":
        return explanation(course, moment, task.arguments["weight"], task.arguments["example"])
    return {
        "iteration": moment.iteration,
        "loss": moment.loss,
        "lr": moment.lr,
        "exact": course.exact(moment),
        "parameters": described(moment, task.arguments["parameters"]),
    }


def finish(child: WorkerProcess, task: Task, **values: Any) -> None:
    """The answer, if the question is still ours."""
    with child.database.session() as session:
        write(session, task, finished_at=db_now(), **values)


def described(moment: IterationState, wanted: list[Any] | None) -> dict[str, Any]:
    """The parameters asked for in full, or a summary of each."""
    views = {
        kind: moment.network.views(tensor)
        for kind, tensor in (
            ("value", moment.parameters),
            ("gradient", moment.gradient),
            ("update", moment.update),
        )
        if tensor is not None
    }
    if wanted is None:
        return {
            name: {"shape": list(parameter.shape)}
            | {kind: summary(named[name]) for kind, named in views.items()}
            for name, parameter in moment.network.parameters.items()
        }
    found = {}
    for address, name, place in wanted:
        shape = [] if place else list(moment.network.parameters[name].shape)
        values = {kind: named[name][tuple(place)].tolist() for kind, named in views.items()}
        found[address] = {"shape": shape} | values
    return found


def summary(tensor: Tensor) -> dict[str, float]:
    """What a tensor looks like from afar, in float64."""
    values = tensor.double()
    return {
        "mean": values.mean().item(),
        "std": values.std(correction=0).item(),
        "min": values.min().item(),
        "max": values.max().item(),
        "norm": torch.linalg.vector_norm(values).item(),
    }
