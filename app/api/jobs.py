"""Jobs: submit, look, control, delete."""

from fastapi import APIRouter, Response

from app.api.body import Body, described
from app.api.deps import After, Limit, Reading, RequestId, SettingsDep, StorageDep, Writing
from app.api.openapi import refusals
from app.api.schemas import JobDocument, JobList, job_document
from app.services import control, jobs
from app.tables import JobState
from training.spec import JobSpec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CREATE = described(
    JobSpec,
    iris={
        "name": "iris",
        "dataset": "iris",
        "split": {"test": 0.3},
        "model": [{"type": "linear", "out_features": 3}],
        "loss": "cross_entropy",
        "optimizer": {"type": "sgd", "lr": 0.1},
        "iterations": 200,
    },
    one_weight={
        "dataset": {"x": [[1.0]], "y": [[4.0]]},
        "model": [
            {
                "type": "linear",
                "out_features": 1,
                "bias": False,
                "init": {"type": "constant", "value": 2.0},
            }
        ],
        "loss": "mse_loss",
        "optimizer": {"type": "sgd", "lr": 0.1},
        "batch_size": "full",
        "iterations": 50,
    },
)


@router.post("", status_code=202, operation_id="create_job", openapi_extra=CREATE)
def create(
    body: Body, session: Writing, settings: SettingsDep, request_id: RequestId, response: Response
) -> JobDocument:
    """Queues a job; every mistake of a bad specification comes back at once."""
    job = jobs.create(session, body, settings.limits, request_id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job_document(job, jobs.position(session, job))


@router.get("", operation_id="list_jobs")
def index(session: Reading, limit: Limit = 20, after: After = None) -> JobList:
    """Jobs, newest first."""
    page = jobs.listed(session, limit, after)
    data = [job_document(job) for job in page.rows]
    return JobList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{job_id}", operation_id="get_job")
def show(job_id: str, session: Reading) -> JobDocument:
    """One job."""
    job = jobs.get(session, job_id)
    waiting = job.state == JobState.QUEUED
    return job_document(job, jobs.position(session, job) if waiting else None)


@router.post(
    "/{job_id}/cancel", status_code=202, operation_id="cancel_job", responses=refusals(409)
)
def cancel(job_id: str, session: Writing) -> JobDocument:
    """Ends a job that has not ended yet, at once; what it has recorded stays."""
    return job_document(control.cancel(session, job_id))


@router.post("/{job_id}/pause", status_code=202, operation_id="pause_job")
def pause(job_id: str, session: Writing) -> JobDocument:
    """Lets a job rest: a waiting one at once, a running one once its state is saved."""
    return job_document(control.pause(session, job_id))


@router.post("/{job_id}/resume", status_code=202, operation_id="resume_job")
def resume(job_id: str, session: Writing) -> JobDocument:
    """Puts a paused job back into the queue; it goes on where it stood, to the bit."""
    job = control.resume(session, job_id)
    return job_document(job, jobs.position(session, job))


@router.delete("/{job_id}", status_code=204, operation_id="delete_job", responses=refusals(409))
def delete(job_id: str, session: Writing, storage: StorageDep) -> None:
    """Removes a finished job, its series and its checkpoints."""
    jobs.delete(session, storage, job_id)
