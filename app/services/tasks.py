"""Questions to a worker, and their answers."""

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import queue
from app.config import Settings
from app.db import after_commit
from app.errors import Conflict, Invalid, NotFound
from app.ids import new_id
from app.tables import Job, Task
from training.check import UNLIMITED, check
from training.mistakes import Mistake, unknown
from training.plan import Plan

ADDRESS = re.compile(r"([A-Za-z0-9_.]+)(?:\[(\d{1,9}(?:,\d{1,9})*)\])?(?:,|$)")


def ask_iteration(
    session: Session, job: Job, n: int, parameters: str | None, settings: Settings, request_id: str
) -> Task:
    """Asks for one iteration again; raises when the job has no such iteration or parameter."""
    plan = check(job.spec, UNLIMITED)
    count = plan.parameter_count
    if count > settings.replay_max_parameters or job.iterations > settings.replay_max_iterations:
        raise Invalid(
            f"replay is limited to {settings.replay_max_parameters} parameters and "
            f"{settings.replay_max_iterations} iterations; this job has {count} and "
            f"{job.iterations}",
            code="replay_too_large",
        )
    if n > job.iteration:
        raise Conflict(f"the job has recorded {job.iteration} iterations, so {n} is not known yet")
    task = Task(
        id=new_id("task"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        arguments={"iteration": n, "parameters": addresses(plan, parameters)},
        request_id=request_id,
    )
    session.add(task)
    session.flush()
    after_commit(session, lambda: queue.ring(queue.INTERACTIVE))
    return task


def get(session: Session, task_id: str) -> Task:
    """One task; raises ``NotFound``."""
    task = session.scalar(select(Task).where(Task.id == task_id))
    if task is None:
        raise NotFound(f"there is no task {task_id[:64]}")
    return task


def addresses(plan: Plan, text: str | None) -> list[Any] | None:
    """``0.weight,2.weight[1,2]`` as [address, name, index]; ``None`` asks for a summary of all."""
    if text is None:
        return None
    known, found, end = plan.parameters, [], 0
    while match := ADDRESS.match(text, end):
        end, (name, index) = match.end(), match.groups()
        place = [int(i) for i in index.split(",")] if index else []
        if name not in known:
            mistake = Mistake("/parameters", "unknown_name", unknown(name, list(known)))
            raise Invalid("the model has no such parameter", [mistake], code="unknown_parameter")
        shape = known[name].shape
        inside = len(place) == len(shape) and all(i < s for i, s in zip(place, shape, strict=True))
        if place and not inside:
            sentence = f"`{name}` has shape {list(shape)}, which has no element {place}"
            mistake = Mistake("/parameters", "out_of_range", sentence)
            raise Invalid("the parameter has no such element", [mistake], code="unknown_parameter")
        found.append([match.group().rstrip(","), name, place])
    if end != len(text) or not found:
        sentence = "must look like `0.weight,2.weight[1,2]`"
        mistake = Mistake("/parameters", "wrong_type", sentence)
        raise Invalid("the parameters cannot be read", [mistake], code="unknown_parameter")
    return found
