"""Whose job is next: priority, then the tenant that runs the fewest, then age.

The cost does not grow with the queue. Mostly one of the oldest jobs of the highest priority is of a
tenant that runs nothing: then it is next, and a look at the front of ``ix_jobs_queue`` finds it.

Else the tenants are compared. Their waiting jobs lie in lanes, one a wanted device; in the index
``ix_jobs_lanes`` a lane is one stretch, sorted by priority and age, so its head is found without a
look at what stands behind it, and so is the next tenant with a lane.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.orm import Session, aliased

from app.tables import HELD, Job, JobState

FRONT_JOB_COUNT = 200
"""Jobs that are the front of the queue."""
MAX_LANE_COUNT = 8
"""Lanes that are tried: others may be taking the heads of the first ones at this moment."""


DEVICE = bindparam("device", type_=String())
MOST_RUNNING = bindparam("most", type_=Integer())


class Lane(NamedTuple):
    """Jobs of equal priority, of a tenant, for a wanted device."""

    tenant: str
    device: str
    priority: int


def first_lanes() -> Select[Any]:
    """Finds the lanes whose turn it is, of tenants that run less than ``most``."""
    job, before, other = aliased(Job), aliased(Job), aliased(Job)
    tenants = (
        select(func.min(job.tenant_id).label("tenant"))
        .where(job.state == JobState.QUEUED)
        .cte("tenants", recursive=True)
    )
    later = select(func.min(before.tenant_id)).where(
        before.state == JobState.QUEUED, before.tenant_id > tenants.c.tenant
    )
    tenants = tenants.union_all(
        select(later.scalar_subquery()).where(tenants.c.tenant.is_not(None))
    )
    devices = select(literal("auto").label("device")).union_all(select(DEVICE)).subquery("devices")
    mine = (
        Job.state == JobState.QUEUED,
        Job.tenant_id == tenants.c.tenant,
        Job.device_wanted == devices.c.device,
    )
    highest = select(func.max(Job.priority)).where(*mine).scalar_subquery()
    lane = (
        select(tenants.c.tenant, devices.c.device, highest.label("priority"))
        .join_from(tenants, devices, true())
        .subquery("lane")
    )
    # Those that one process trains side by side count once.
    processes = (
        select(other.tenant_id, other.worker).where(other.state.in_(HELD)).distinct().subquery()
    )
    held = (
        select(processes.c.tenant_id.label("tenant"), func.count().label("jobs"))
        .group_by(processes.c.tenant_id)
        .subquery("held")
    )
    head = select(func.min(Job.id)).where(
        Job.state == JobState.QUEUED,
        Job.tenant_id == lane.c.tenant,
        Job.device_wanted == lane.c.device,
        Job.priority == lane.c.priority,
    )
    running = func.coalesce(held.c.jobs, 0)
    return (
        select(lane.c.tenant, lane.c.device, lane.c.priority)
        .outerjoin_from(lane, held, held.c.tenant == lane.c.tenant)
        .where(lane.c.priority.is_not(None), running < MOST_RUNNING)
        .order_by(lane.c.priority.desc(), running, head.scalar_subquery())
        .limit(MAX_LANE_COUNT)
    )


def of_an_idle_tenant() -> Select[Any]:
    """Finds the oldest job of the highest priority whose tenant runs nothing, if it is far enough
    to the front."""
    other = aliased(Job)
    highest = select(func.max(other.priority)).where(other.state == JobState.QUEUED)
    front = (
        select(Job.id, Job.tenant_id, Job.device_wanted)
        .where(Job.state == JobState.QUEUED, Job.priority == highest.scalar_subquery())
        .order_by(Job.id)
        .limit(FRONT_JOB_COUNT)
        .subquery("front")
    )
    busy = select(other.tenant_id).where(other.state.in_(HELD))
    suits = front.c.device_wanted.in_(["auto", DEVICE])
    found = select(front.c.id).where(suits, front.c.tenant_id.not_in(busy)).order_by(front.c.id)
    return found.limit(MAX_LANE_COUNT)


FIRST_LANES = first_lanes()
OF_AN_IDLE_TENANT = of_an_idle_tenant()


def next_job(session: Session, device: str, most: int) -> str | None:
    """The id of the job that a worker with this device is to claim, locked for this transaction; a
    tenant that runs ``most`` is passed over."""
    idle = session.scalars(OF_AN_IDLE_TENANT, {"device": device}).all()
    if idle and (job_id := free(session, Job.id.in_(idle))) is not None:
        return job_id
    found = session.execute(FIRST_LANES, {"device": device, "most": most})
    lanes = [Lane(*row) for row in found]
    for lane in lanes:
        if (job_id := free(session, *within(lane))) is not None:
            return job_id
    return behind(session, lanes)


def within(lane: Lane) -> tuple[ColumnElement[bool], ...]:
    """The jobs of a lane."""
    return (
        Job.tenant_id == lane.tenant,
        Job.device_wanted == lane.device,
        Job.priority == lane.priority,
    )


def behind(session: Session, lanes: Sequence[Lane]) -> str | None:
    """What waits behind the lanes, of lower priority, while others empty all of them."""
    if not lanes:
        return None
    tenants, devices = {lane.tenant for lane in lanes}, {lane.device for lane in lanes}
    return free(session, Job.tenant_id.in_(tenants), Job.device_wanted.in_(devices))


def free(session: Session, *which: ColumnElement[bool]) -> str | None:
    """The first of these waiting jobs; those that another worker is just claiming are skipped."""
    return session.scalar(
        select(Job.id)
        .where(Job.state == JobState.QUEUED, *which)
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
