"""``Idempotency-Key``: every POST that creates or acts may be repeated, and happens once.

One class of routes sees to it, so that a new route is covered by itself. It looks at the request
before anything else does; the session that the route works in takes the key (``deps.begin``); the
answer is kept in that same transaction.
"""

import hashlib
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.routing import BaseRoute

from app.errors import Invalid
from app.services import idempotency
from app.services.idempotency import AlreadyAnswered, IdempotentRequest
from training.spec.mistakes import Mistake

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

UNREPEATED = frozenset(
    {
        "/v1/jobs/validate",
        "/v1/jobs/{job_id}/predict",
        "/v1/models/{name}/predict",
        "/v1/models/{name}/versions/{version}/predict",
    }
)
"""Every POST takes an ``Idempotency-Key`` but these, which change nothing."""

STREAMED = frozenset({"/v1/datasets"})
"""Their bodies are too large to be held: they say themselves, by ``same``, what makes two requests
the same, before they open their session."""

KEY = re.compile(r"[\x20-\x7e]{1,255}")
KEPT_HEADERS = ("content-type", "location")


class Route(APIRoute):
    """A route that answers a repeated POST as it did the first time."""

    def get_route_handler(self) -> Handler:
        """FastAPI's own, with ours around it where a repetition would do harm."""
        handle = super().get_route_handler()
        if "POST" not in (self.methods or ()) or self.path in UNREPEATED:
            return handle

        async def once(request: Request) -> Response:
            key = request.headers.get("idempotency-key")
            if key is None:
                return await handle(request)
            held = b"" if self.path in STREAMED else await request.body()
            attempt = IdempotentRequest(accepted(key), fingerprint(request, held))
            request.state.attempt = attempt
            try:
                response = await handle(request)
            except AlreadyAnswered as known:
                return replay(known)
            assert attempt.session is not None, "the effect has to happen in a session of ours"
            await to_thread.run_sync(keep, request, attempt, response)
            return response

        return once


class Router(APIRouter):
    """Collects the routes of a noun."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)


def assert_all_guarded(routes: Sequence[BaseRoute]) -> None:
    """Holds us to it: a POST that is not one of ours would happen twice."""
    for route in iter_route_contexts(routes):
        ours = isinstance(route.original_route, Route) or "POST" not in (route.methods or ())
        assert ours, f"POST {route.path} has to be collected by app.api.requests.idempotency.Router"


def accepted(key: str) -> str:
    """The key, if it can be one."""
    if not KEY.fullmatch(key):
        sentence = "must be 1 to 255 printable ASCII characters (header)"
        found = [Mistake("/Idempotency-Key", "wrong_type", sentence)]
        raise Invalid("the request has mistakes", found)
    return key


def fingerprint(request: Request, content: bytes) -> str:
    """What makes two requests the same: where they go, and what they bring."""
    place = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(place.encode() + content).hexdigest()


def same(request: Request, content: str) -> None:
    """Says what a streamed body held: requests with equal ``content`` are the same."""
    attempt: IdempotentRequest | None = getattr(request.state, "attempt", None)
    if attempt is not None:
        attempt.request_sha256 = fingerprint(request, content.encode())


def keep_instead(request: Request, document: BaseModel) -> None:
    """What a repetition is answered, where the first answer holds what must not be kept."""
    request.state.kept_instead = document


def keep(request: Request, attempt: IdempotentRequest, response: Response) -> None:
    """Stores the answer in the transaction of its effect; whatever failed was raised before."""
    assert response.status_code < 300, "a refusal is raised, for it must undo what was begun"
    instead: BaseModel | None = getattr(request.state, "kept_instead", None)
    body = instead.model_dump_json().encode() if instead is not None else bytes(response.body)
    headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
    idempotency.keep(attempt, response.status_code, headers, body)


def replay(known: AlreadyAnswered) -> Response:
    """The stored answer."""
    headers = {**known.headers, "Idempotency-Replayed": "true"}
    return Response(known.body, known.status, headers)
