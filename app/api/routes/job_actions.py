"""What a job is told to do."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Response

from app.api.requests.dependencies import (
    PreflightDep,
    RequestId,
    SettingsDep,
    StorageDep,
    WriteSession,
)
from app.api.requests.idempotency import Router
from app.api.requests.json_body import Body, described
from app.api.responses.openapi import refusals
from app.api.routes.jobs import document
from app.api.schemas.jobs import JobDocument
from app.services.forks import fork as descent
from app.services.forks.fork import Fork, PreparedFork
from app.services.jobs import transitions

router = Router(prefix="/v1/jobs/{job_id}", tags=["jobs"])

FORK = described(Fork, gentler={"iteration": 100, "changes": {"optimizer": {"lr": 0.01}}})


@router.post("/cancel", status_code=202, operation_id="cancel_job", responses=refusals(409))
def cancel(job_id: str, session: WriteSession) -> JobDocument:
    """Ends a job that has not ended yet, at once; what it has recorded stays."""
    return document(session, transitions.cancel(session, job_id))


@router.post("/pause", status_code=202, operation_id="pause_job", responses=refusals(409))
def pause(job_id: str, session: WriteSession) -> JobDocument:
    """Lets a job rest: a waiting one at once, a running one once its state is saved."""
    return document(session, transitions.pause(session, job_id))


@router.post("/resume", status_code=202, operation_id="resume_job", responses=refusals(409))
def resume(job_id: str, session: WriteSession) -> JobDocument:
    """Puts a paused job back into the queue; it goes on where it stood, to the bit."""
    return document(session, transitions.resume(session, job_id))


async def retrying(
    job_id: str, before: PreflightDep, storage: StorageDep, request_id: RequestId
) -> AsyncIterator[PreparedFork]:
    """What a retry takes over, until it is kept."""
    heir = await before(lambda look: descent.retry(look, storage, job_id, request_id))
    with descent.cleanup_unless_saved(storage, heir):
        yield heir


@router.post("/retry", status_code=202, operation_id="retry_job", responses=refusals(409, 507))
def retry(
    heir: Annotated[PreparedFork, Depends(retrying, scope="function")],
    session: WriteSession,
    response: Response,
) -> JobDocument:
    """A new job that goes on where a failed or cancelled one was last saved."""
    job = descent.save(session, heir)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)


async def forking(
    job_id: str,
    body: Body,
    before: PreflightDep,
    storage: StorageDep,
    settings: SettingsDep,
    request_id: RequestId,
) -> AsyncIterator[PreparedFork]:
    """What a fork takes over, until it is kept."""
    limits = settings.limits
    heir = await before(lambda look: descent.fork(look, storage, job_id, body, limits, request_id))
    with descent.cleanup_unless_saved(storage, heir):
        yield heir


@router.post(
    "/fork",
    status_code=202,
    operation_id="fork_job",
    openapi_extra=FORK,
    responses=refusals(409, 507),
)
def fork(
    heir: Annotated[PreparedFork, Depends(forking, scope="function")],
    session: WriteSession,
    response: Response,
) -> JobDocument:
    """A new job from the state before an update of this one, with another specification."""
    job = descent.save(session, heir)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)
