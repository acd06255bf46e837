"""Any iteration again, computed by a worker."""

import time
from collections.abc import Callable
from typing import Annotated, Any

from anyio import sleep, to_thread
from fastapi import Path, Query, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from app.api.answers import Router
from app.api.deps import WRITERS, DatabaseDep, Reader, Reading, RequestId, SettingsDep, Writing
from app.api.openapi import refusals
from app.api.schemas import (
    Document,
    ExplanationDocument,
    IterationDocument,
    TaskDocument,
    task_document,
)
from app.db import Database
from app.errors import Invalid, ServiceError
from app.services import jobs, tasks
from app.services.keys import Principal
from app.tables import Task, TaskState

router = Router(prefix="/v1", tags=["iterations"])

POLL = 0.02
"""Seconds between looks at the task: a replay of a small job takes about as long."""


Iteration = Annotated[int, Path(ge=0, le=2**31 - 1)]
ACCEPTED = "It takes longer; the task will have the answer."


def computed(model: type[Document]) -> dict[int | str, dict[str, Any]]:
    """What a route answers that asks a worker."""
    later = {"model": TaskDocument, "description": ACCEPTED}
    return {200: {"model": model}, 202: later, **refusals(409)}


ANSWERED, EXPLAINED = computed(IterationDocument), computed(ExplanationDocument)


@router.get("/jobs/{job_id}/iterations/{n}", operation_id="get_iteration", responses=ANSWERED)
async def show(
    job_id: str,
    n: Iteration,
    database: DatabaseDep,
    principal: Reader,
    settings: SettingsDep,
    request_id: RequestId,
    parameters: str | None = None,
) -> JSONResponse:
    """The state before update ``n``, the gradient at it (as it is before `clip_grad_norm` shortens
    it), the update it got; bit for bit.

    ``parameters``: ``0.weight,2.weight[1,2]``; without it, a summary of each.
    """

    def ask(session: Session) -> Task:
        job = jobs.get(session, job_id)
        return tasks.ask_iteration(session, job, n, parameters, settings, request_id)

    return await answer(database, principal, ask, settings.replay_wait_seconds)


@router.get(
    "/jobs/{job_id}/iterations/{n}/explain",
    operation_id="explain_weight",
    responses=EXPLAINED,
)
async def explain(
    job_id: str,
    n: Iteration,
    database: DatabaseDep,
    principal: Reader,
    settings: SettingsDep,
    request_id: RequestId,
    weight: Annotated[str, Query(description="One element: `2.weight[1,2]`.")],
    example: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> JSONResponse:
    """Why one weight moves: the chain rule for one training example, checked by a finite
    difference, and the update that the weight got from the whole batch."""

    def ask(session: Session) -> Task:
        job = jobs.get(session, job_id)
        return tasks.ask_explanation(session, job, n, weight, example, settings, request_id)

    return await answer(database, principal, ask, settings.replay_wait_seconds)


@router.post(
    "/jobs/{job_id}/verify",
    status_code=202,
    operation_id="verify_job",
    responses=refusals(409),
)
def verify(
    job_id: str,
    session: Writing,
    settings: SettingsDep,
    request_id: RequestId,
    response: Response,
) -> TaskDocument:
    """Trains an ended job again and compares every loss, every evaluation and the model's file
    with what was recorded, bit for bit; the task has the verdict."""
    task = tasks.ask_verification(session, jobs.get(session, job_id), settings, request_id)
    response.headers["Location"] = f"/v1/tasks/{task.id}"
    return task_document(task)


@router.get("/tasks/{task_id}", operation_id="get_task")
def show_task(task_id: str, session: Reading) -> TaskDocument:
    """A question that took longer, and its answer."""
    return task_document(tasks.get(session, task_id))


async def answer(
    database: Database, principal: Principal, ask: Callable[[Session], Task], seconds: float
) -> JSONResponse:
    """Asks a question and waits so long for its answer; 202 with the task when it takes longer."""

    def asked() -> Task:
        with database.session(principal.tenant_id) as session:
            return ask(session)

    task = await answered(database, await to_thread.run_sync(asked, limiter=WRITERS), seconds)
    if task.state == TaskState.FAILED:
        raise failure(task)
    if task.state == TaskState.SUCCEEDED:
        return JSONResponse(task.result)
    location = {"Location": f"/v1/tasks/{task.id}"}
    return JSONResponse(task_document(task).model_dump(mode="json"), 202, location)


async def answered(database: Database, task: Task, seconds: float) -> Task:
    """The task once it is answered, or as it is when the time is up."""

    def look() -> Task:
        with database.session(task.tenant_id, write=False) as session:
            return tasks.get(session, task.id)

    deadline = time.monotonic() + seconds
    found = task
    while found.finished_at is None and time.monotonic() < deadline:
        await sleep(POLL)
        found = await to_thread.run_sync(look)
    return found


def failure(task: Task) -> ServiceError:
    """A task that failed, as the error it stands for."""
    assert task.error is not None
    return Invalid(task.error["message"], code=task.error["code"])
