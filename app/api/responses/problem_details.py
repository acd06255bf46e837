"""Every failure as ``application/problem+json`` (RFC 9457); none tells what only we should know."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.database.session import DATABASE_UNAVAILABLE
from app.errors import Conflict, Invalid, ServiceError, StorageFull, Unavailable, problem
from app.storage import is_full
from training.spec.mistakes import SENTENCES, Mistake, Mistakes

log = structlog.get_logger()

WHOLE = ("wrong_type", "must be a whole number")
FORMS = SENTENCES | {"int_parsing": WHOLE, "int_parsing_size": WHOLE}
"""The sentences of the specification; what is not JSON comes as text."""
MAX_DETAIL_CHARACTERS = 1000
"""Characters of a detail that tells every mistake of a specification."""


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)


def outside(request: Request, error: Exception) -> JSONResponse:
    """The same for what was raised before a route was found, and for what nobody foresaw."""
    handler = next((HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS), unexpected)
    return handler(request, error)


def answer(
    request: Request, members: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem document about this request."""
    about = {"instance": request.url.path, "request_id": request.state.request_id}
    return JSONResponse(
        members | about, members["status"], headers, media_type="application/problem+json"
    )


def refused(request: Request, error: Exception) -> JSONResponse:
    """What the service refuses."""
    assert isinstance(error, ServiceError)
    return answer(request, error.problem(), error.headers)


def misread(request: Request, error: Exception) -> JSONResponse:
    """A path or query that does not have the form its route declares; bodies:
    ``app.api.requests.json_body``."""
    assert isinstance(error, RequestValidationError)
    found = []
    for detail in error.errors():
        where, *steps = detail["loc"]
        code, text = FORMS.get(detail["type"], ("wrong_type", "is not of the expected form"))
        pointer = "".join(f"/{step}" for step in steps)
        sentence = text.format(**detail.get("ctx", {}))
        found.append(Mistake(pointer, code, f"{sentence} ({where} parameter)"))
    return refused(request, Invalid("the request has mistakes", found))


def not_routed(request: Request, error: Exception) -> JSONResponse:
    """No such route, or not with this method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = {404: "there is nothing at this path", 405: "the path does not take this method"}
    code = status.phrase.lower().replace(" ", "_")
    text = detail.get(status, status.phrase)
    members = problem(status, code, text, retryable=False)
    return answer(request, members, dict(error.headers or {}))


def database_away(request: Request, error: Exception) -> JSONResponse:
    """The database does not answer: nothing was changed, and trying again is right."""
    log.error("database away", error=type(error).__name__, exc_info=error)
    return refused(request, Unavailable("the database does not answer; try again"))


def no_file(request: Request, error: Exception) -> JSONResponse:
    """A file could not be written: a full disk is no mistake of ours."""
    if not is_full(error):
        return unexpected(request, error)
    log.error("disk full", exc_info=error)
    return refused(request, StorageFull("the disk of the service is full; nothing was kept"))


def not_accepted_any_more(request: Request, error: Exception) -> JSONResponse:
    """A job would have to be computed again that was accepted under other rules. (What is wrong
    with a specification that is posted comes as ``Invalid``.)"""
    detail = f"the specification of the job is not accepted any more: {error}"
    return refused(request, Conflict(detail[:MAX_DETAIL_CHARACTERS]))


def unexpected(request: Request, error: Exception) -> JSONResponse:
    """A mistake of ours: the log has it, the answer says only where to find it."""
    log.error("unexpected error", exc_info=error)
    detail = "something went wrong on our side; the request id leads to the cause"
    return refused(request, ServiceError(detail))


HANDLERS: dict[type, Callable[[Request, Exception], JSONResponse]] = {
    ServiceError: refused,
    RequestValidationError: misread,
    HTTPException: not_routed,
    OSError: no_file,
    Mistakes: not_accepted_any_more,
    **dict.fromkeys(DATABASE_UNAVAILABLE, database_away),
}
