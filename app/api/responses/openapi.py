"""The OpenAPI document: what FastAPI knows of the routes, and what it cannot know.

A body is read by ``app.api.requests.json_body``, not by FastAPI, so that all its mistakes come at
once; refusals come from one handler. Both are described here, in one place, for every route.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.requests.dependencies import PUBLIC
from app.api.requests.idempotency import UNREPEATED
from app.api.requests.json_body import BODIES, REFERENCE
from app.api.schemas.base import Document

Operation = dict[str, Any]

DESCRIPTION = """\
Post a JSON specification to `/v1/jobs`; a worker trains the PyTorch model by gradient descent and
records the loss of **every iteration** while it trains; the trained model answers at
`/v1/models/{name}/predict`.

- Every route but the public ones needs `Authorization: Bearer <key>`. An embedded service writes
  its first key to `$FALLLINE_HOME/key`.
- Refusals are `application/problem+json` (RFC 9457) with a stable `code`, and `errors` with a
  JSON Pointer to **every** mistake of the request at once.
- Lists take `limit` and `after`, and answer `{"data": [...], "has_more": ..., "next": ...}`,
  newest first.
- A POST that creates or acts takes an `Idempotency-Key`: repeated, it answers the same and acts
  once.
- Numbers that JSON cannot carry are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
- Words of a specification and their arguments: `/v1/catalog`; its JSON Schema:
  `/v1/catalog/schema`.
"""


class ProblemMistake(Document):
    """One mistake: a JSON Pointer (RFC 6901) into the body, or the name of a parameter."""

    pointer: str
    code: str
    message: str


class Problem(Document):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[ProblemMistake]
    request_id: str
    retryable: bool


WHY = {
    400: "The request is no HTTP that can be answered, or names no host of this service.",
    401: "No key, or none that is valid.",
    403: "The key lacks the scope, or a page of another origin asks.",
    404: "No such thing, or it belongs to another tenant.",
    405: "The path does not take this method.",
    406: "None of the media types that are accepted can be given.",
    408: "The body came too slowly.",
    409: "The state forbids it.",
    412: "It was changed since the `ETag` of `If-Match`.",
    413: "The body is larger than the limit.",
    415: "The body is not of a media type that is taken here.",
    422: "The request has mistakes; `errors` points at each.",
    429: "A limit is reached; `Retry-After` says when to try again.",
    431: "Path, query and headers are larger than the limit.",
    503: "A part of the service does not answer; nothing was changed. Try again.",
    507: "The disk is full.",
}
COMMON_STATUSES = (400, 403, 431, 503)
AUTHENTICATED_STATUSES = (401, 429)


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request happen once, however often it is sent within a day: a "
    "repetition is answered as the first was, with `Idempotency-Replayed: true`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``: what it refuses beyond what every route does."""
    return {status: refusal(status) for status in statuses}


def refusal(status: int) -> dict[str, Any]:
    """How a refusal looks."""
    schema = {"$ref": REFERENCE.format(model=Problem.__name__)}
    described: dict[str, Any] = {
        "description": WHY.get(status, HTTPStatus(status).phrase),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status in (429, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        described["headers"] = {"Retry-After": seconds}
    return described


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=DESCRIPTION,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            routes=app.routes,
        )
        components = made["components"]["schemas"]
        components |= schemas({**BODIES, Problem.__name__: Problem}, components)
        for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, never answered
            components.pop(name, None)
        for path, operations in made["paths"].items():
            for method, operation in operations.items():
                complete(path, method, operation)
        app.openapi_schema = made
    return app.openapi_schema


def schemas(
    models: Mapping[str, type[BaseModel]], there: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The JSON Schema of each model and all that it refers to, by name."""
    _, found = models_json_schema(
        [(model, "validation") for model in models.values()], ref_template=REFERENCE
    )
    made: dict[str, dict[str, Any]] = found.get("$defs", {})
    twice = {name for name, schema in made.items() if there.get(name, schema) != schema}
    assert not twice, f"two schemas share a name: {sorted(twice)}"
    return made


def complete(path: str, method: str, operation: Operation) -> None:
    """Adds what every operation of its kind may answer."""
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    responses = operation["responses"]
    if path in PUBLIC:
        operation.pop("security", None)
    if method == "post" and path not in UNREPEATED:
        operation["parameters"] = [*operation.get("parameters", ()), IDEMPOTENCY_KEY]
    may = {*COMMON_STATUSES, *(() if path in PUBLIC else AUTHENTICATED_STATUSES)}
    if "{" in path:
        may |= {404} if method == "get" else {404, 409}
    if method == "get" and path not in PUBLIC:
        responses["304"] = {"description": "The client has it: `If-None-Match` names its `ETag`."}
    if operation.get("parameters"):
        may.add(422)
    if "requestBody" in operation:
        may |= {408, 413, 415, 422}
    if "422" in responses and "HTTPValidationError" in str(responses["422"]):
        del responses["422"]
    for status in sorted(may):
        responses.setdefault(str(status), refusal(status))
    operation["responses"] = dict(sorted(responses.items()))
