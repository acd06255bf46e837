"""What a job is told to do."""

from app.api.answers import Router
from app.api.deps import Writing
from app.api.jobs import document
from app.api.openapi import refusals
from app.api.schemas import JobDocument
from app.services import control

router = Router(prefix="/v1/jobs/{job_id}", tags=["jobs"])


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
