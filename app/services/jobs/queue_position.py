"""How jobs stand: why they wait and where in the queue, and what was changed about them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.services.jobs import lineage
from app.services.operations import workers
from app.services.tenancy import quotas
from app.tables import Intervention, Job, JobState


class Place(NamedTuple):
    """Why a job waits, and how many would be claimed before it, plus one."""

    reason: str
    position: int


class QueueStatus(NamedTuple):
    """What a job's document says beyond its row; ``place``: of a queued one."""

    place: Place | None
    interventions: Sequence[Intervention]


def queue_status(session: Session, jobs: Sequence[Job]) -> dict[str, QueueStatus]:
    """Of each job, by its id."""
    places = queue_places(session, [job for job in jobs if job.state == JobState.QUEUED])
    logs = lineage.interventions(session, [job.id for job in jobs])
    return {job.id: QueueStatus(places.get(job.id), logs[job.id]) for job in jobs}


def queue_places(session: Session, jobs: Sequence[Job]) -> dict[str, Place]:
    """The places of queued jobs of one tenant, among its own."""
    if not jobs:
        return {}
    found = positions(session, jobs)
    devices = workers.devices(session)
    full = at_its_limit(session, jobs[0].tenant_id)
    return {job.id: Place(reason(job, devices, full=full), found[job.id]) for job in jobs}


def positions(session: Session, jobs: Sequence[Job]) -> dict[str, int]:
    """Where in the queue each job stands; one that has left it since it was read was at its head.

    Those before a single job are counted; for several the queue is gone through once, to the last.
    """
    last = max(jobs, key=lambda job: (-job.priority, job.id))
    up_to_it = (
        Job.tenant_id == last.tenant_id,
        Job.state == JobState.QUEUED,
        or_(Job.priority > last.priority, (Job.priority == last.priority) & (Job.id <= last.id)),
    )
    if len(jobs) == 1:
        count = session.scalar(select(func.count()).select_from(Job).where(*up_to_it))
        return {last.id: max(1, count or 0)}
    position = func.row_number().over(order_by=[Job.priority.desc(), Job.id])
    queue = select(Job.id, position.label("position")).where(*up_to_it).subquery()
    query = select(queue).where(queue.c.id.in_([job.id for job in jobs]))
    return {job.id: 1 for job in jobs} | {row.id: row.position for row in session.execute(query)}


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
