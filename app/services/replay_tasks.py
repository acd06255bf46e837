"""Questions to a worker, and their answers."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import broker
from app.config import Settings
from app.database.session import OpenReadSession, after_commit
from app.errors import Conflict, Invalid, NotFound
from app.ids import new_id
from app.services.datasets import dataset_repository
from app.services.jobs import job_repository
from app.tables import TERMINAL, Task
from training.spec.mistakes import Mistake, unknown
from training.spec.plan import Plan
from training.validation.check import UNLIMITED, check

Arguments = dict[str, Any]
"""What is asked about a job, as a worker reads it."""

ADDRESS = re.compile(r"([A-Za-z0-9_.]+)(?:\[(\d{1,9}(?:,\d{1,9})*)\])?(?:,|$)")


def iteration(
    look: OpenReadSession, job_id: str, n: int, parameters: str | None, settings: Settings
) -> Arguments:
    """One iteration again; raises when the job has no such iteration or parameter."""
    wanted = addresses(replayable(look, job_id, n, settings), parameters)
    return {"kind": "iteration", "iteration": n, "parameters": wanted}


def explanation(
    look: OpenReadSession, job_id: str, n: int, weight: str, example: int, settings: Settings
) -> Arguments:
    """Why one weight moves at iteration ``n``, by the chain rule for one training example."""
    plan = replayable(look, job_id, n, settings)
    ((address, name, place), *more) = addresses(plan, weight, at="/weight") or [None]
    if more or not place:
        sentence = "must name one element, like `2.weight[1,2]`"
        mistake = Mistake("/weight", "wrong_type", sentence)
        raise Invalid("the weight cannot be read", [mistake], code="unknown_parameter")
    if example >= plan.rows["train"]:
        sentence = f"the training split has {plan.rows['train']} examples, counted from 0"
        raise Invalid("no such example", [Mistake("/example", "out_of_range", sentence)])
    asked = {"iteration": n, "weight": [address, name, place], "example": example}
    return {"kind": "explanation", **asked}


def verification(look: OpenReadSession, job_id: str, settings: Settings) -> Arguments:
    """To train the job again and to compare all it recorded, bit for bit."""
    with look() as session:
        job = job_repository.get(session, job_id)
    if job.state not in TERMINAL:
        raise Conflict(f"a job that is {job.state} cannot be verified before it has ended")
    replayable(look, job_id, 0, settings)
    return {"kind": "verification"}


def replayable(look: OpenReadSession, job_id: str, n: int, settings: Settings) -> Plan:
    """The job's plan, if iteration ``n`` of it can be computed again."""
    with look() as session:
        job = job_repository.get(session, job_id)
    plan = check(job.spec, UNLIMITED, dataset_repository.still(look))
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


def ask(session: Session, job_id: str, arguments: Arguments, request_id: str) -> Task:
    """Asks a question that can be answered; a worker is told once it is durable."""
    job = job_repository.get(session, job_id, keep=True)
    task = Task(
        id=new_id("task"),
        tenant_id=job.tenant_id,
        job_id=job.id,
        arguments=arguments,
        request_id=request_id,
    )
    session.add(task)
    session.flush()
    after_commit(session, lambda: broker.notify(broker.INTERACTIVE))
    return task


def answered(session: Session, task_ids: Sequence[str]) -> Sequence[Task]:
    """Those of these that have their answer."""
    query = select(Task).where(Task.id.in_(task_ids), Task.finished_at.is_not(None))
    return session.scalars(query).all()


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
