"""Any iteration again, computed by a worker."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from app.api.live.long_poll import unless_gone
from app.api.live.task_waiter import TaskWaiter
from app.api.requests.dependencies import (
    READERS,
    WRITERS,
    CanRead,
    DatabaseDep,
    PreflightDep,
    ReadSession,
    RequestId,
    SettingsDep,
    WriteSession,
)
from app.api.requests.idempotency import Router
from app.api.responses.openapi import refusals
from app.api.schemas.base import Document
from app.api.schemas.tasks import (
    ExplanationDocument,
    IterationDocument,
    TaskDocument,
    task_document,
)
from app.database.session import OpenReadSession
from app.errors import Invalid, ServiceError
from app.services import replay_tasks
from app.services.replay_tasks import Arguments
from app.tables import Task, TaskState

router = Router(prefix="/v1", tags=["iterations"])

Iteration = Annotated[int, Path(ge=0, le=2**31 - 1)]
ACCEPTED = "It takes longer; the task will have the answer."


def computed(model: type[Document]) -> dict[int | str, dict[str, Any]]:
    """What a route answers that asks a worker."""
    later = {"model": TaskDocument, "description": ACCEPTED}
    return {200: {"model": model}, 202: later, **refusals(409)}


ANSWERED, EXPLAINED = computed(IterationDocument), computed(ExplanationDocument)


class ReplayRequest:
    """Who asks something about a job that a worker has to compute."""

    def __init__(
        self,
        request: Request,
        session: Callable[..., AbstractContextManager[Session]],
        seconds: float,
        request_id: str,
    ) -> None:
        self.request = request
        self.session = session
        self.seconds = seconds
        self.request_id = request_id

    async def answer(
        self, job_id: str, asked: Callable[[OpenReadSession], Arguments]
    ) -> JSONResponse:
        """Asks, together with all who ask the same just now, and waits so long for the answer; 202
        with the task when it takes longer. ``asked`` sees to it that there is such a job."""
        look = partial(self.session, write=False)
        arguments = await to_thread.run_sync(asked, look, limiter=READERS)

        def ask() -> Task:
            with self.session() as session:
                return replay_tasks.ask(session, job_id, arguments, self.request_id)

        questions: TaskWaiter = self.request.app.state.questions
        name = json.dumps([job_id, arguments])
        with questions.asking(name, lambda: to_thread.run_sync(ask, limiter=WRITERS)) as question:
            await unless_gone(self.request, questions.wait(question, self.seconds))
        assert question.row is not None, "it has been asked"
        return document(question.row)


async def get_replay_request(
    request: Request,
    database: DatabaseDep,
    principal: CanRead,
    settings: SettingsDep,
    request_id: RequestId,
) -> ReplayRequest:
    """Whoever may read may ask."""
    session = partial(database.session, principal.tenant_id)
    return ReplayRequest(request, session, settings.replay_wait_seconds, request_id)


ReplayRequestDep = Annotated[ReplayRequest, Depends(get_replay_request)]


def document(task: Task) -> JSONResponse:
    """A task that was waited for."""
    if task.state == TaskState.FAILED:
        raise failure(task)
    if task.state == TaskState.SUCCEEDED:
        return JSONResponse(task.result)
    location = {"Location": f"/v1/tasks/{task.id}"}
    return JSONResponse(task_document(task).model_dump(mode="json"), 202, location)


@router.get("/jobs/{job_id}/iterations/{n}", operation_id="get_iteration", responses=ANSWERED)
async def show(
    job_id: str,
    n: Iteration,
    asker: ReplayRequestDep,
    settings: SettingsDep,
    parameters: str | None = None,
) -> JSONResponse:
    """The state before update ``n``, the gradient at it (as it is before `clip_grad_norm` shortens
    it), the update it got; bit for bit.

    ``parameters``: ``0.weight,2.weight[1,2]``; without it, a summary of each.
    """

    return await asker.answer(
        job_id, lambda look: replay_tasks.iteration(look, job_id, n, parameters, settings)
    )


@router.get(
    "/jobs/{job_id}/iterations/{n}/explain",
    operation_id="explain_weight",
    responses=EXPLAINED,
)
async def explain(
    job_id: str,
    n: Iteration,
    asker: ReplayRequestDep,
    settings: SettingsDep,
    weight: Annotated[str, Query(description="One element: `2.weight[1,2]`.")],
    example: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> JSONResponse:
    """Why one weight moves: the chain rule for one training example, checked by a finite
    difference, and the update that the weight got from the whole batch."""

    return await asker.answer(
        job_id, lambda look: replay_tasks.explanation(look, job_id, n, weight, example, settings)
    )


async def verifying(job_id: str, before: PreflightDep, settings: SettingsDep) -> Arguments:
    """What is asked of a worker, if it can be."""
    return await before(lambda look: replay_tasks.verification(look, job_id, settings))


@router.post(
    "/jobs/{job_id}/verify",
    status_code=202,
    operation_id="verify_job",
    responses=refusals(409),
)
def verify(
    job_id: str,
    asked: Annotated[Arguments, Depends(verifying)],
    session: WriteSession,
    request_id: RequestId,
    response: Response,
) -> TaskDocument:
    """Trains an ended job again and compares every loss, every evaluation and the model's file
    with what was recorded, bit for bit; the task has the verdict."""
    task = replay_tasks.ask(session, job_id, asked, request_id)
    response.headers["Location"] = f"/v1/tasks/{task.id}"
    return task_document(task)


@router.get("/tasks/{task_id}", operation_id="get_task")
def show_task(task_id: str, session: ReadSession) -> TaskDocument:
    """A question that took longer, and its answer."""
    return task_document(replay_tasks.get(session, task_id))


def failure(task: Task) -> ServiceError:
    """A task that failed, as the error it stands for."""
    assert task.error is not None
    return Invalid(task.error["message"], code=task.error["code"])
