"""What surrounds every request, as one ASGI layer: its id, its body, its line in the log."""

import re
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app import ids
from app.api.asgi_types import App, Message, Receive, Scope, Send, header
from app.api.middleware.body_limits import BodyLimits
from app.api.requests.dependencies import PUBLIC
from app.logging import Requests

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Gives every answer an ``X-Request-Id`` (the client's own, if it sent a decent one).

    ``failed`` answers for what nobody foresaw. It is asked here, not by Starlette's outermost
    layer, which knows no request id and breaks the connection after its answer.
    """

    def __init__(
        self, app: App, bodies: BodyLimits, failed: Callable[[Request, Exception], Response]
    ) -> None:
        self.app = app
        self.bodies = bodies
        self.failed = failed
        self.log = Requests()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        request_id = given if given and ACCEPTED_ID.fullmatch(given) else ids.request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        status, began = 0, time.perf_counter()
        body = self.bodies.of(scope, receive)

        async def labelled_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        # Not taken back: a request is a task, with a context of its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, body.receive, labelled_send)
        except ClientDisconnect:
            status = 499  # nobody is left to be answered; as nginx logs it
        except Exception as error:
            if status:
                raise  # too late for another answer: the connection breaks
            await self.failed(Request(scope), error)(scope, receive, labelled_send)
        finally:
            body.close()
        if scope["path"] in PUBLIC and status == HTTPStatus.OK:
            return  # whoever asks every second whether all is well fills no log
        self.log.say(
            request_id=request_id,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", None),
            status=status,
            tenant_id=getattr(scope["state"].get("principal"), "tenant_id", None),
            milliseconds=round(1000 * (time.perf_counter() - began), 1),
        )
