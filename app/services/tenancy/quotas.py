"""What a tenant may have: jobs that wait, jobs that run, bytes that are kept.

Sessions of the API know the limits (``session.info``); the service's own work has none.
"""

from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from app.config import Quotas
from app.errors import QuotaExceeded
from app.tables import HELD, Checkpoint, Dataset, Job, JobState, ModelVersion, Tenant

KEPT = (Dataset, Checkpoint, ModelVersion)
"""What has a size."""
SIZES = [select(func.coalesce(func.sum(table.size), 0)).scalar_subquery() for table in KEPT]
STORED = select(SIZES[0] + SIZES[1] + SIZES[2])


class Beyond(Exception):
    """Another worker took a job of the tenant at the same moment: that was the last it may run."""


def given(session: Session) -> Quotas | None:
    """The limits that hold in a session; ``None``: none do."""
    quotas: Quotas | None = session.info.get("quotas")
    return quotas


def admit(session: Session, count: int) -> None:
    """Before so many jobs are queued; raises ``QuotaExceeded``."""
    quotas = given(session)
    if quotas is None:
        return
    only_one(session, session.info["tenant_id"])  # nobody slips in beside
    there = waiting(session)
    if there + count > quotas.queued_jobs:
        raise QuotaExceeded(
            f"a tenant may have {quotas.queued_jobs} queued jobs (FALLLINE_MAX_QUEUED_JOBS); "
            f"{there} wait and {count} would be added"
        )
    keep(session, 0)


def keep(session: Session, size: int) -> None:
    """Before so many bytes are kept; raises ``QuotaExceeded``."""
    quotas = given(session)
    if quotas is None:
        return
    there = stored(session)
    if there + size > quotas.stored_bytes or there >= quotas.stored_bytes:
        raise QuotaExceeded(
            f"a tenant may keep {quotas.stored_bytes} bytes of data sets, checkpoints and models "
            f"(FALLLINE_MAX_STORED_BYTES); {there} are kept: delete jobs or data sets"
        )


def waiting(session: Session) -> int:
    """Queued jobs of the session's tenant."""
    query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED)
    return int(session.scalar(query) or 0)


def stored(session: Session) -> int:
    """Bytes kept for the session's tenant."""
    return int(session.scalar(STORED) or 0)


def held(session: Session, tenant_id: str) -> int:
    """The running jobs of a tenant, counted in the same way.

    State by state: for several at once SQLite would go through all jobs that the tenant ever had.
    """
    each = [select(Job.worker).where(Job.tenant_id == tenant_id, Job.state == s) for s in HELD]
    workers = union(*each).subquery()
    return int(session.scalar(select(func.count(workers.c.worker))) or 0)


def claimed(session: Session, job: Job, most: int) -> None:
    """After a claim, in its transaction: raises ``Beyond`` when another claim came first.

    Both had counted before either had taken: only in turn they see one another.
    """
    only_one(session, job.tenant_id)
    if held(session, job.tenant_id) > most:
        raise Beyond(job.tenant_id)


def only_one(session: Session, tenant_id: str) -> None:
    """One transaction at a time for each tenant, from here to its end. (SQLite has one writer.)"""
    mine = select(Tenant.id).where(Tenant.id == tenant_id)
    session.execute(mine.with_for_update(key_share=True))
