"""The one question that a thousand clients ask every second: how is my job?

``GET /v1/jobs/{job_id}`` without parameters needs nothing of what a framework does for a route, and
that is most of what it costs. This layer answers it; whatever is not exactly that goes on to the
route, which says the same.
"""

import re

from starlette.responses import Response
from starlette.routing import BaseRoute

from app.api.asgi_types import App, Receive, Scope, Send
from app.api.live.job_loader import JobLoader, JobSnapshot
from app.api.requests.content_negotiation import JSON

PATH = re.compile(r"/v1/jobs/(job_[0-9a-z]{26})")


class JobFastPath:
    """The layer. ``route``: the one in whose place it answers."""

    def __init__(self, app: App, looks: JobLoader, route: BaseRoute) -> None:
        self.app = app
        self.looks = looks
        self.route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a poll; raises ``NotFound``, as the route does."""
        job_id = polled(scope)
        if job_id is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self.route
        look = await self.looks.at(scope["state"]["principal"].tenant_id, job_id)
        await answer(look)(scope, receive, send)


def polled(scope: Scope) -> str | None:
    """The job that a poll is about, when it is one and whoever asks may read."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    found = PATH.fullmatch(scope["path"])
    if found is None or "read" not in scope["state"]["principal"].scopes:
        return None
    return found[1]


def answer(look: JobSnapshot) -> Response:
    """What was seen of a job. Its validator is made once for all who are told."""
    return Response(look.content, headers={"ETag": look.etag}, media_type=JSON)
