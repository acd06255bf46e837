"""Changes of a job that is there: its place in the queue, its labels, and its course.

A change of the course (``lr``, ``iterations``) is an intervention: it is committed together with
the number of losses that are durable, which is the first iteration it applies to. A worker that has
computed beyond finds its next write refused, drops what it had and goes on from there. So the log
is complete before any loss is recorded that depends on it.
"""

from typing import Any

from pydantic import Field, ValidationError
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.ids import new_id
from app.services.jobs import event_log
from app.services.jobs.transitions import lock
from app.tables import TERMINAL, Intervention, Job
from training.catalog.base import Section
from training.catalog.optimizers import Rate
from training.spec.job_spec import Count, Metadata, Priority
from training.spec.mistakes import Mistake, translate
from training.validation.check import Limits


class JobChanges(Section):
    """What is not given stays as it is. ``metadata`` takes the place of what was there.

    ``lr`` is the base rate that the schedule scales, ``iterations`` where the job ends; both apply
    from ``progress.iteration`` of the answer on, and rescale no schedule.
    """

    priority: Priority = 0
    metadata: Metadata = Field(default_factory=dict)
    lr: Rate = 1e-3
    iterations: Count = 1


COURSE = ("lr", "iterations")


def change(session: Session, job_id: str, raw: Any, limits: Limits) -> Job:
    """Changes a job; raises ``Invalid`` or ``Conflict``, and then nothing was changed."""
    changes = read(raw)
    job = lock(session, job_id)
    if "metadata" in changes:
        job.labels = changes.pop("metadata")
    if changes and job.state in TERMINAL:
        names = " and ".join(f"`{name}`" for name in changes)
        raise Conflict(f"a job that is {job.state} has ended: {names} cannot be changed any more")
    job.priority = changes.get("priority", job.priority)
    session.flush()
    course = {name: changes[name] for name in COURSE if name in changes}
    if course:
        possible(job, course, limits)
        intervene(session, job, course)
        session.refresh(job)
    return job


def read(raw: Any) -> dict[str, Any]:
    """The fields that were given; raises ``Invalid`` with every mistake."""
    try:
        return JobChanges.model_validate(raw).model_dump(exclude_unset=True)
    except ValidationError as error:
        found = translate(error, JobChanges, raw)
        raise Invalid("the changes have mistakes", found, code="invalid_changes") from error


def possible(job: Job, course: dict[str, Any], limits: Limits) -> None:
    """Raises where a job cannot take this course."""
    if "lr" in course and job.spec["schedule"]["type"] == "one_cycle":
        sentence = "the schedule one_cycle has a rate of its own; fork the job to change it"
        raise Invalid("the rate cannot be changed", [Mistake("/lr", "conflict", sentence)])
    end = course.get("iterations", job.iterations)
    if end > limits.iterations:
        sentence = f"{end} iterations are more than the {limits.iterations} allowed"
        raise Invalid("too many iterations", [Mistake("/iterations", "limit_exceeded", sentence)])
    if end < job.iteration:
        raise Conflict(
            f"the job has recorded {job.iteration} iterations, so it cannot end after {end}"
        )


def intervene(session: Session, job: Job, course: dict[str, Any]) -> None:
    """Adds to the intervention log; the row of the job is locked, so no loss comes between."""
    number, iteration = job.interventions + 1, job.iteration
    session.add(
        Intervention(
            id=new_id("int"),
            tenant_id=job.tenant_id,
            job_id=job.id,
            number=number,
            iteration=iteration,
            changes=course,
        )
    )
    end = course.get("iterations", job.iterations)
    session.execute(
        update(Job).where(Job.id == job.id).values(interventions=number, iterations=end)
    )
    data = {"iteration": iteration, "changes": course}
    event_log.record(session, job.id, "intervention", data)
