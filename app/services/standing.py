"""How jobs stand: why they wait and where in the queue, and what was changed about them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from app.services import lineage, quotas, workers
from app.tables import Intervention, Job, JobState


class Place(NamedTuple):
    """Why a job waits, and how many would be claimed before it, plus one."""

    reason: str
    position: int


class Standing(NamedTuple):
    """What a job's document says beyond its row; ``place``: of a queued one."""

    place: Place | None
    interventions: Sequence[Intervention]


def standings(session: Session, jobs: Sequence[Job]) -> dict[str, Standing]:
    """Of each job, by its id."""
    places = queue_places(session, [job for job in jobs if job.state == JobState.QUEUED])
    logs = lineage.interventions(session, [job.id for job in jobs])
    return {job.id: Standing(places.get(job.id), logs[job.id]) for job in jobs}


def queue_places(session: Session, jobs: Sequence[Job]) -> dict[str, Place]:
    """The places of queued jobs (fairness between tenants may still reorder them)."""
    if not jobs:
        return {}
    other = aliased(Job)
    before = or_(
        other.priority > Job.priority, (other.priority == Job.priority) & (other.id < Job.id)
    )
    ahead = select(func.count()).where(other.state == JobState.QUEUED, before).scalar_subquery()
    counted = session.execute(select(Job.id, ahead).where(Job.id.in_([job.id for job in jobs])))
    positions = {job_id: count + 1 for job_id, count in counted}
    devices = workers.devices(session)
    full = at_its_limit(session, jobs[0].tenant_id)
    return {job.id: Place(reason(job, devices, full=full), positions[job.id]) for job in jobs}


def at_its_limit(session: Session, tenant_id: str) -> bool:
    """Whether the tenant runs as many jobs as it may."""
    limits = quotas.given(session)
    return limits is not None and quotas.held(session, tenant_id) >= limits.running_jobs


def reason(job: Job, devices: frozenset[str], *, full: bool) -> str:
    """Why a queued job is not running: nobody could take it, or may, or is free to."""
    if full:
        return "tenant_at_its_limit"
    if job.device_wanted != "auto" and job.device_wanted not in devices:
        return "no_worker_with_this_device"
    return "waiting_for_a_worker"
