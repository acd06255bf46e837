"""Predictions, without what a framework does for a route, which is most of what one would cost.

This layer answers ``POST …/predict`` to whoever may predict; whatever is not exactly that goes on
to the routes (``app.api.routes.predictions``), which say the same.
"""

import re
from typing import NamedTuple

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from app.api.asgi_types import App, Receive, Scope, Send, header
from app.api.prediction.service import PredictionService
from app.api.requests.content_negotiation import JSON
from app.api.requests.json_body import must_be_json
from app.services.models import Which

PATH = re.compile(
    r"/v1/(?:models/(?P<name>[^/\0]+)(?:/versions/(?P<version>[1-9][0-9]{0,8}))?"
    r"|jobs/(?P<job_id>[^/\0]+))/predict"
)


class Routes(NamedTuple):
    """Those in whose place the layer answers."""

    newest: BaseRoute
    of_version: BaseRoute
    of_job: BaseRoute


class PredictFastPath:
    """The layer."""

    def __init__(self, app: App, oracle: PredictionService, routes: Routes) -> None:
        self.app = app
        self.oracle = oracle
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a question; raises what the route raises."""
        which = asked(scope)
        if which is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = self.route(which)
        must_be_json(header(scope, b"content-type"))
        tenant_id = scope["state"]["principal"].tenant_id
        content = await self.oracle.answer(tenant_id, which, await whole(receive))
        headers = [
            (b"content-type", JSON.encode()),
            (b"content-length", b"%d" % len(content)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def route(self, which: Which) -> BaseRoute:
        """The one that says the same."""
        if which.job_id is not None:
            return self.routes.of_job
        return self.routes.newest if which.version is None else self.routes.of_version


def asked(scope: Scope) -> Which | None:
    """The model that a request asks, when it is a question and whoever asks may."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope["query_string"]:
        return None
    found = PATH.fullmatch(scope["path"])
    if found is None or "predict" not in scope["state"]["principal"].scopes:
        return None
    name, version, job_id = found.groups()
    return Which(name, int(version) if version else None, job_id)


async def whole(receive: Receive) -> bytes:
    """The body; raises ``ClientDisconnect`` when it does not come to its end."""
    parts = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)
