"""Conditional requests (RFC 9110, 13): a GET costs little when nothing changed.

One ASGI layer gives every whole answer to a GET a strong ``ETag``, made of its bytes, and answers
304 to a client that has them. What is streamed has the one that its route knows, or none.
"""

from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders

from app.api.asgi_types import App, Message, Receive, Scope, Send
from app.api.requests.preconditions import etag, named

KEPT = {b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"}
"""What a 304 says of the answer that it stands for."""


class ETagMiddleware:
    """Holds an answer back until its last byte, and lets it go when there is more than one part."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request; anything but a GET passes through."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        seen = Headers(scope=scope).getlist("if-none-match")
        held: Message | None = None
        known = False

        async def conditional_send(message: Message) -> None:
            nonlocal held, known
            if known:  # the rest of what the client has
                return
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                held = message
                return
            if held is not None:
                start, held = held, None
                if not message.get("more_body", False) or "etag" in MutableHeaders(scope=start):
                    start, message = tagged(start, message, seen)
                    known = start["status"] == HTTPStatus.NOT_MODIFIED
                await send(start)
            await send(message)

        await self.app(scope, receive, conditional_send)


def tagged(start: Message, body: Message, seen: list[str]) -> tuple[Message, Message]:
    """A whole answer with its ETag, or a 304 when the client has it."""
    headers = MutableHeaders(scope=start)
    if "ETag" not in headers:
        headers["ETag"] = etag(body.get("body", b""))
    tag = headers["ETag"]
    if not any(named(header, tag, weakly=True) for header in seen):
        return start, body
    kept = [(name, value) for name, value in start["headers"] if name in KEPT]
    return {**start, "status": int(HTTPStatus.NOT_MODIFIED), "headers": kept}, {
        "type": body["type"]
    }
