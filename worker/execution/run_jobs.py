"""Claims jobs and answers for whatever goes wrong with them."""

import time

import structlog
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.database.session import DATABASE_UNAVAILABLE
from app.services.jobs.transitions import transition
from app.services.tenancy import quotas
from app.tables import Job
from worker.execution.attempt import Attempt
from worker.execution.failures import fail_job
from worker.process.database_retry import retry_until_available
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import RELEASED
from worker.queue.claim import Claim, claim_next
from worker.queue.fence import held

log = structlog.get_logger()


def train_next(child: WorkerProcess) -> bool:
    """Claims the best waiting job, works on it and those that go along until they end or are lost;
    false: none waits."""
    asked_at = time.monotonic()
    try:
        claim = claim_next(child)
    except quotas.Beyond:
        return True  # nothing was claimed: look again
    except DATABASE_UNAVAILABLE:
        # The claim may have been made all the same: then the job has our name.
        log.exception("the database does not answer: nothing is claimed")
        return give_back(child, Job.worker == child.id)
    if claim is None:
        return False
    job = claim.job
    with structlog.contextvars.bound_contextvars(
        job_id=job.id, request_id=job.request_id, tenant_id=job.tenant_id, fence=job.fence
    ):
        try:
            work(child, claim, asked_at)
        except DATABASE_UNAVAILABLE:
            log.exception("the database does not answer: what is held is given back when it does")
            return give_back(child, Job.worker == child.id)
    return True


def work(child: WorkerProcess, claim: Claim, claimed_at: float) -> None:
    """Trains the job, alone or with others, and answers for whatever goes wrong."""
    try:
        Attempt(child, claim, claimed_at).train()
    except DATABASE_UNAVAILABLE:
        raise  # of which nothing can be said now
    except Exception as error:  # noqa: BLE001 -- the job must not be left running
        fail_job(child, claim.job, error)


def give_back(child: WorkerProcess, *which: ColumnElement[bool]) -> bool:
    """Puts what this process holds back into the queue, without an attempt used, as soon as the
    database answers; false: this process is to end before that."""

    def release(session: Session) -> None:
        query = select(Job).where(*which, held(Job)).with_for_update()
        for job in session.scalars(query).all():
            transition(session, job.id, "release", "the database was away", **RELEASED.values)

    return retry_until_available(child, release)
