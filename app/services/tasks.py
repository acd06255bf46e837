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
from app.services import datasets
from app.tables import TERMINAL, Job, Task
from training.check import UNLIMITED, check
from training.mistakes import Mistake, unknown
from training.plan import Plan

ADDRESS = re.compile(r"([A-Za-z0-9_.]+)(?:\[(\d{1,9}(?:,\d{1,9})*)\])?(?:,|$)")


def ask_iteration(
    session: Session, job: Job, n: int, parameters: str | None, settings: Settings, request_id: str
) -> Task:
    """Asks for one iteration again; raises when the job has no such iteration or parameter."""
    plan = replayable(session, job, n, settings)
    wanted = addresses(plan, parameters)
    return queued(session, job, request_id, kind="iteration", iteration=n, parameters=wanted)


def ask_explanation(
    session: Session,
    job: Job,
    n: int,
    weight: str,
    example: int,
    settings: Settings,
    request_id: str,
) -> Task:
    """Asks why one weight moves at iteration ``n``, by the chain rule for one training example."""
    plan = replayable(session, job, n, settings)
    ((address, name, place), *more) = addresses(plan, weight, at="/weight") or [None]
    if more or not place:
        sentence = "must name one element, like `2.weight[1,2]`"
        mistake = Mistake("/weight", "wrong_type", sentence)
        raise Invalid("the weight cannot be read", [mistake], code="unknown_parameter")
    if example >= plan.rows["train"]:
        sentence = f"the training split has {plan.rows['train']} examples, counted from 0"
        raise Invalid("no such example", [Mistake("/example", "out_of_range", sentence)])
    asked = {"iteration": n, "weight": [address, name, place], "example": example}
    return queued(session, job, request_id, kind="explanation", **asked)


def ask_verification(session: Session, job: Job, settings: Settings, request_id: str) -> Task:
    """Asks to train the job again and to compare all it recorded, bit for bit."""
    if job.state not in TERMINAL:
        raise Conflict(f"a job that is {job.state} cannot be verified before it has ended")
    replayable(session, job, 0, settings)
    return queued(session, job, request_id, kind="verification")


def replayable(session: Session, job: Job, n: int, settings: Settings) -> Plan:
    """The job's plan, if iteration ``n`` of it can be computed again."""
    plan = check(job.spec, UNLIMITED, datasets.finder(session))
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
    return plan


def queued(session: Session, job: Job, request_id: str, **arguments: Any) -> Task:
    """A new question; a worker is told once it is durable."""
    task = Task(
        id=new_id("task"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        arguments=arguments,
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


def addresses(plan: Plan, text: str | None, *, at: str = "/parameters") -> list[Any] | None:
    """``0.weight,2.weight[1,2]`` as [address, name, index]; ``None`` asks for a summary of all.

    ``at``: where mistakes point.
    """
    if text is None:
        return None
    known, found, end = plan.parameters, [], 0
    while match := ADDRESS.match(text, end):
        end, (name, index) = match.end(), match.groups()
        place = [int(i) for i in index.split(",")] if index else []
        if name not in known:
            mistake = Mistake(at, "unknown_name", unknown(name, list(known)))
            raise Invalid("the model has no such parameter", [mistake], code="unknown_parameter")
        shape = known[name].shape
        inside = len(place) == len(shape) and all(i < s for i, s in zip(place, shape, strict=True))
        if place and not inside:
            sentence = f"`{name}` has shape {list(shape)}, which has no element {place}"
            mistake = Mistake(at, "out_of_range", sentence)
            raise Invalid("the parameter has no such element", [mistake], code="unknown_parameter")
        found.append([match.group().rstrip(","), name, place])
    if end != len(text) or not found:
        sentence = "must look like `0.weight,2.weight[1,2]`"
        mistake = Mistake(at, "wrong_type", sentence)
        raise Invalid("the parameters cannot be read", [mistake], code="unknown_parameter")
    return found
