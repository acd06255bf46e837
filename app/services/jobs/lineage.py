"""Where a job comes from: the plans that rule its iterations, and what it takes over from others.

A job's course is a function of its specification and its interventions; that of a fork also of
those of the jobs it descends from, each up to where the next one left it. All of it is kept with
the job itself, so the others may be deleted. They share one data set, which is not repeated.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.tables import Intervention, Job
from training.datasets.uploaded import Resolver
from training.spec.plan import Change, Plan, Segment
from training.validation.check import UNLIMITED, check


def interventions(session: Session, job_ids: Sequence[str]) -> dict[str, list[Intervention]]:
    """Those of each job, oldest first."""
    query = select(Intervention).where(Intervention.job_id.in_(job_ids))
    found: dict[str, list[Intervention]] = {job_id: [] for job_id in job_ids}
    for row in session.scalars(query.order_by(Intervention.number)):
        found[row.job_id].append(row)
    return found


def segments(job: Job, log: Sequence[Intervention], stored: Resolver) -> tuple[Segment, ...]:
    """The plans that rule a job, from its first iteration to its last."""
    dataset = {"dataset": job.spec["dataset"]}
    earlier = [
        Segment(plan(part["spec"] | dataset, part["interventions"], stored), part["until"])
        for part in job.lineage
    ]
    return (*earlier, Segment(plan(job.spec, [spoken(row) for row in log], stored)))


def plan(spec: dict[str, Any], log: Sequence[dict[str, Any]], stored: Resolver) -> Plan:
    """What follows from a specification that was accepted before, and its interventions."""
    return check(spec, UNLIMITED, stored).changed(changes(log))


def changes(log: Sequence[dict[str, Any]]) -> tuple[Change, ...]:
    """A log as the engine reads it."""
    return tuple(Change(entry["iteration"], **entry["changes"]) for entry in log)


def descent(parent: Job, log: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """The lineage of a job that leaves its parent at iteration ``n``.

    The segment that rules ``n`` ends there; it is the parent's own, or one of its ancestors'.
    """
    spec = {name: value for name, value in parent.spec.items() if name != "dataset"}
    own: dict[str, Any] = {"until": None, "spec": spec, "interventions": list(log)}
    past = [segment for segment in parent.lineage if segment["until"] < n]
    ruling = next((segment for segment in parent.lineage if segment["until"] >= n), own)
    known = [entry for entry in ruling["interventions"] if entry["iteration"] < n]
    return [*past, {"until": n, "spec": ruling["spec"], "interventions": known}]


def spoken(row: Intervention) -> dict[str, Any]:
    """An intervention as it is kept in a lineage."""
    return {"iteration": row.iteration, "changes": row.changes}
