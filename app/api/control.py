"""What a job is told to do."""

from fastapi import Response

from app.api.answers import Router
from app.api.body import Body, described
from app.api.deps import RequestId, SettingsDep, StorageDep, Writing
from app.api.jobs import document
from app.api.openapi import refusals
from app.api.schemas import JobDocument
from app.services import control, descent
from app.services.descent import Fork

router = Router(prefix="/v1/jobs/{job_id}", tags=["jobs"])

FORK = described(Fork, gentler={"iteration": 100, "changes": {"optimizer": {"lr": 0.01}}})


@router.post("/cancel", status_code=202, operation_id="cancel_job", responses=refusals(409))
def cancel(job_id: str, session: Writing) -> JobDocument:
    """Ends a job that has not ended yet, at once; what it has recorded stays."""
    return document(session, control.cancel(session, job_id))


@router.post("/pause", status_code=202, operation_id="pause_job", responses=refusals(409))
def pause(job_id: str, session: Writing) -> JobDocument:
    """Lets a job rest: a waiting one at once, a running one once its state is saved."""
    return document(session, control.pause(session, job_id))


@router.post("/resume", status_code=202, operation_id="resume_job", responses=refusals(409))
def resume(job_id: str, session: Writing) -> JobDocument:
    """Puts a paused job back into the queue; it goes on where it stood, to the bit."""
    return document(session, control.resume(session, job_id))


@router.post("/retry", status_code=202, operation_id="retry_job", responses=refusals(409))
def retry(
    job_id: str, session: Writing, storage: StorageDep, request_id: RequestId, response: Response
) -> JobDocument:
    """A new job that goes on where a failed or cancelled one was last saved."""
    job = descent.retry(session, storage, job_id, request_id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)


@router.post(
    "/fork",
    status_code=202,
    operation_id="fork_job",
    openapi_extra=FORK,
    responses=refusals(409),
)
def fork(
    job_id: str,
    body: Body,
    session: Writing,
    storage: StorageDep,
    settings: SettingsDep,
    request_id: RequestId,
    response: Response,
) -> JobDocument:
    """A new job from the state before an update of this one, with another specification."""
    job = descent.fork(session, storage, job_id, body, settings.limits, request_id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)
