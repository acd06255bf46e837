"""Questions about an iteration: the numbers are the training's own, computed where it was."""

from typing import Any

import numpy as np
import structlog
import torch
from sqlalchemy import select
from torch import Tensor

from app.db import clock
from app.numbers import speakable
from app.services import metrics
from app.tables import Checkpoint as CheckpointRow
from app.tables import Job, Task, TaskState
from training import checkpoint
from training.check import UNLIMITED, check
from training.data import load
from training.numerics import Numerics
from training.replay import Moment, replay
from training.run import Checkpoint
from worker.child import Child
from worker.fence import Lost, claim, write

log = structlog.get_logger()


def answer_next(child: Child) -> bool:
    """Claims the oldest waiting question and answers it; false: none waits."""
    with child.database.session() as session:
        task = claim(session, Task, [Task.id], child.id, child.settings.stall_seconds)
    if task is None:
        return False
    with structlog.contextvars.bound_contextvars(
        task_id=task.id, job_id=task.job_id, request_id=task.request_id
    ):
        try:
            answer(child, task)
        except Lost:
            log.info("task lost")
        except Exception as error:
            log.error("task failed", exc_info=error)
            failed = {"code": "internal", "message": "the iteration could not be replayed"}
            finish(child, task, state=TaskState.FAILED, error=failed)
    return True


def answer(child: Child, task: Task) -> None:
    """Replays the iteration and stores what was asked of it."""
    n = task.arguments["iteration"]
    with child.database.session(write=False) as session:
        job = session.scalars(select(Job).where(Job.id == task.job_id)).one()
        recorded = metrics.read(session, job, ["loss"], n - 1, 1).series["loss"].values
    plan = check(job.spec, UNLIMITED)
    numerics = Numerics.on(child.device)
    nearest = nearest_checkpoint(child, job, n, numerics)
    moment = replay(plan, load(plan, numerics), numerics, n, nearest, job.iteration)
    same_loss = moment.loss is None or np.array_equal(
        np.array([moment.loss], dtype=np.float32).view(np.int32), recorded[:1].view(np.int32)
    )
    same_numerics = (job.execution or {}).get("fingerprint") == numerics.fingerprint()
    result = {
        "iteration": n,
        "loss": moment.loss,
        "lr": moment.lr,
        "exact": bool(same_loss and same_numerics),
        "parameters": described(moment, task.arguments["parameters"]),
    }
    finish(child, task, state=TaskState.SUCCEEDED, result=speakable(result))


def finish(child: Child, task: Task, **values: Any) -> None:
    """The answer, if the question is still ours."""
    with child.database.session() as session:
        write(session, task, finished_at=clock(), **values)


def nearest_checkpoint(child: Child, job: Job, n: int, numerics: Numerics) -> Checkpoint | None:
    """The newest checkpoint at or before iteration ``n``; without one, the replay starts at 0."""
    with child.database.session(write=False) as session:
        row = session.scalar(
            select(CheckpointRow)
            .where(CheckpointRow.job_id == job.id, CheckpointRow.iteration <= n)
            .order_by(CheckpointRow.iteration.desc())
            .limit(1)
        )
    if row is None:
        return None
    return checkpoint.decode(child.storage.get(row.location, row.sha256), numerics)


def described(moment: Moment, wanted: list[Any] | None) -> dict[str, Any]:
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
