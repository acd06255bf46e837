"""Any iteration again, computed by a worker."""

import time
from typing import Annotated, Any

from anyio import sleep, to_thread
from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from app.api.deps import DatabaseDep, Reader, Reading, RequestId, SettingsDep
from app.api.openapi import refusals
from app.api.schemas import IterationDocument, TaskDocument, task_document
from app.db import Database
from app.errors import Invalid, ServiceError
from app.services import jobs, tasks
from app.tables import Task, TaskState

router = APIRouter(prefix="/v1", tags=["iterations"])

POLL = 0.02
"""Seconds between looks at the task: a replay of a small job takes about as long."""


ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"model": IterationDocument},
    202: {"model": TaskDocument, "description": "It takes longer; the task will have the answer."},
    **refusals(409),
}


@router.get("/jobs/{job_id}/iterations/{n}", operation_id="get_iteration", responses=ANSWERED)
async def show(
    job_id: str,
    n: Annotated[int, Path(ge=0, le=2**31 - 1)],
    database: DatabaseDep,
    principal: Reader,
    settings: SettingsDep,
    request_id: RequestId,
    parameters: str | None = None,
) -> JSONResponse:
    """The state before update ``n``, the gradient at it, the update it got; bit for bit.

    ``parameters``: ``0.weight,2.weight[1,2]``; without it, a summary of each.
    """

    def ask() -> Task:
        with database.session(principal.tenant_id) as session:
            job = jobs.get(session, job_id)
            return tasks.ask_iteration(session, job, n, parameters, settings, request_id)

    task = await to_thread.run_sync(ask)
    task = await answered(database, task, settings.replay_wait_seconds)
    if task.state == TaskState.FAILED:
        raise failure(task)
    if task.state == TaskState.SUCCEEDED:
        return JSONResponse(task.result)
    location = {"Location": f"/v1/tasks/{task.id}"}
    return JSONResponse(task_document(task).model_dump(mode="json"), 202, location)


@router.get("/tasks/{task_id}", operation_id="get_task")
def show_task(task_id: str, session: Reading) -> TaskDocument:
    """A question that took longer, and its answer."""
    return task_document(tasks.get(session, task_id))


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
