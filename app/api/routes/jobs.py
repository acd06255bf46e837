"""Jobs: submit, look, change, delete."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request, Response
from sqlalchemy.orm import Session

from app.api.live.job_loader import written
from app.api.live.long_poll import Passed, Wait, condition, looks_of, unless_gone, watch_of
from app.api.middleware.job_fast_path import answer
from app.api.requests.dependencies import (
    After,
    CanRead,
    Limit,
    PreflightDep,
    ReadSession,
    RequestId,
    SettingsDep,
    StorageDep,
    TrainerReadSession,
    WriteSession,
)
from app.api.requests.idempotency import Router
from app.api.requests.job_filters import Wanted
from app.api.requests.json_body import Body, described
from app.api.requests.preconditions import must_match
from app.api.responses.openapi import refusals
from app.api.schemas.estimate import ValidationDocument, validation_document
from app.api.schemas.jobs import JobBatch, JobDocument, JobList, job_document
from app.services.jobs import (
    batch,
    estimate,
    interventions,
    job_repository,
    submission,
    transitions,
)
from app.services.jobs.batch import Batch
from app.services.jobs.interventions import JobChanges
from app.services.jobs.queue_position import queue_status
from app.tables import Job
from training.spec.job_spec import JobSpec
from training.spec.plan import Plan

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


BATCH = described(
    Batch,
    sweep={
        "base": {
            "dataset": "iris",
            "model": [{"type": "linear", "out_features": 3}],
            "loss": "cross_entropy",
            "optimizer": "sgd",
            "iterations": 200,
        },
        "changes": [{"optimizer": {"lr": 0.1}}, {"optimizer": {"lr": 0.01}}],
    },
)
CHANGE = described(JobChanges, sooner={"priority": 10}, gentler={"lr": 0.01, "iterations": 500})


def document(session: Session, job: Job) -> JobDocument:
    """A job with its place in the queue and its interventions."""
    return documents(session, [job])[0]


def documents(session: Session, rows: Sequence[Job]) -> list[JobDocument]:
    """The same of several, with as few questions to the database as of one."""
    found = queue_status(session, rows)
    return [job_document(job, found[job.id]) for job in rows]


async def planned(body: Body, before: PreflightDep, settings: SettingsDep) -> Plan:
    """What the specification of a new job says."""
    return await before(lambda look: submission.planned(look, body, settings.limits))


async def all_planned(body: Body, before: PreflightDep, settings: SettingsDep) -> list[Plan]:
    """What those of a batch say."""
    return await before(lambda look: batch.planned(look, body, settings.limits))


@router.post("", status_code=202, operation_id="create_job", openapi_extra=CREATE)
def create(
    plan: Annotated[Plan, Depends(planned)],
    session: WriteSession,
    request_id: RequestId,
    response: Response,
) -> JobDocument:
    """Queues a job; every mistake of a bad specification comes back at once."""
    job = submission.create(session, plan, request_id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return document(session, job)


@router.post("/batch", status_code=202, operation_id="create_jobs", openapi_extra=BATCH)
def create_batch(
    plans: Annotated[list[Plan], Depends(all_planned)], session: WriteSession, request_id: RequestId
) -> JobBatch:
    """Queues up to 1 000 jobs in one transaction: all of them, or none."""
    created = batch.create(session, plans, request_id)
    return JobBatch(data=documents(session, created))


@router.post("/validate", operation_id="validate_job", openapi_extra=CREATE)
def validate(body: Body, session: TrainerReadSession, settings: SettingsDep) -> ValidationDocument:
    """What a job would do and cost, without creating it; or every mistake, as ``create`` says."""
    return validation_document(estimate.validate(session, body, settings.limits))


@router.get("", operation_id="list_jobs")
def index(session: ReadSession, wanted: Wanted, limit: Limit = 20, after: After = None) -> JobList:
    """Jobs, newest first. `metadata.<key>=<value>` lists those that have the entry."""
    page = job_repository.list_page(session, limit, after, wanted)
    data = documents(session, page.rows)
    return JobList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{job_id}", operation_id="get_job", responses={200: {"model": JobDocument}})
async def show(
    job_id: str,
    request: Request,
    principal: CanRead,
    wait: Wait = 0,
    after: Passed = None,
) -> Response:
    """One job. ``wait`` holds the answer until its state changes, or until iteration ``after`` is
    recorded; it is given at once when the job has ended, and as it is when the time is up."""
    looks = looks_of(request)
    look = await looks.at(principal.tenant_id, job_id)
    met = condition(look.glance, after)
    if wait and not met(look.glance):
        with watch_of(request).watching(job_id, principal.key_id) as watcher:
            # Once more: whatever happens from here on is noticed.
            if not met((await looks.at(principal.tenant_id, job_id)).glance):
                await unless_gone(request, watcher.until(met, wait))
            watcher.still_allowed()
        look = await looks.at(principal.tenant_id, job_id)
    return answer(look)


@router.patch(
    "/{job_id}", operation_id="change_job", openapi_extra=CHANGE, responses=refusals(409, 412)
)
def change(
    job_id: str, body: Body, session: WriteSession, settings: SettingsDep, request: Request
) -> JobDocument:
    """Changes a job's place in the queue, its metadata, or its course while it is not over; with
    `If-Match`, only if it is what the client has seen."""
    must_match(request.headers, written(document(session, transitions.lock(session, job_id))))
    return document(session, interventions.change(session, job_id, body, settings.limits))


@router.delete("/{job_id}", status_code=204, operation_id="delete_job", responses=refusals(409))
def delete(job_id: str, session: WriteSession, storage: StorageDep) -> None:
    """Removes a finished job, its series and its checkpoints."""
    job_repository.delete(session, storage, job_id)
