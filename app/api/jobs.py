"""Jobs: submit, look, change, delete."""

from fastapi import Response
from sqlalchemy.orm import Session

from app.api.answers import Router
from app.api.body import Body, described
from app.api.deps import After, Limit, Reading, RequestId, SettingsDep, StorageDep, Writing
from app.api.openapi import refusals
from app.api.schemas import JobDocument, JobList, job_document
from app.services import changes, jobs
from app.services.changes import JobChanges
from app.services.standing import standings
from app.tables import Job
from training.spec import JobSpec

router = Router(prefix="/v1/jobs", tags=["jobs"])

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


CHANGE = described(JobChanges, sooner={"priority": 10}, gentler={"lr": 0.01, "iterations": 500})


def document(session: Session, job: Job) -> JobDocument:
    """A job with its place in the queue and its interventions."""
    return job_document(job, standings(session, [job])[job.id])


@router.post("", status_code=202, operation_id="create_job", openapi_extra=CREATE)
def create(
    body: Body, session: Writing, settings: SettingsDep, request_id: RequestId, response: Response
) -> JobDocument:
    """Queues a job; every mistake of a bad specification comes back at once."""
    job = jobs.create(session, body, settings.limits, request_id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)


@router.get("", operation_id="list_jobs")
def index(session: Reading, limit: Limit = 20, after: After = None) -> JobList:
    """Jobs, newest first."""
    page = jobs.listed(session, limit, after)
    found = standings(session, page.rows)
    data = [job_document(job, found[job.id]) for job in page.rows]
    return JobList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{job_id}", operation_id="get_job")
def show(job_id: str, session: Reading) -> JobDocument:
    """One job."""
    return document(session, jobs.get(session, job_id))


@router.patch("/{job_id}", operation_id="change_job", openapi_extra=CHANGE, responses=refusals(409))
def change(job_id: str, body: Body, session: Writing, settings: SettingsDep) -> JobDocument:
    """Changes a job's place in the queue, its metadata, or its course while it is not over."""
    return document(session, changes.change(session, job_id, body, settings.limits))


@router.delete("/{job_id}", status_code=204, operation_id="delete_job", responses=refusals(409))
def delete(job_id: str, session: Writing, storage: StorageDep) -> None:
    """Removes a finished job, its series and its checkpoints."""
    jobs.delete(session, storage, job_id)
