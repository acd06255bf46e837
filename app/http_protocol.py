"""HTTP as bytes: what uvicorn leaves open is closed here, before there is a request to speak of.

A head (or a trailer, or the frame of a chunk) that never ends would be held in memory; a connection
that never says what it wants would be held open; what is no HTTP gets a problem document too.
"""

import asyncio
import json
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import ids
from app.config import Settings
from app.errors import problem


class Wire(HttpToolsProtocol):
    """uvicorn's protocol with limits to what comes outside of bodies."""

    most_bytes: ClassVar[int]
    most_seconds: ClassVar[float]
    unseen = 0
    """Bytes since the parser last came to something: the end of a head, a part of a body."""
    timer: asyncio.TimerHandle | None = None
    in_head = False
    """Whether a head has begun and not ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and has so long to say what they want."""
        super().connection_made(transport)
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self.head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self.unseen += len(data)
        super().data_received(data)
        if self.in_head and self.timer is None:  # most heads come at once and need no timer
            self.await_head()
        if self.unseen > self.most_bytes and not self.transport.is_closing():
            sentence = f"the head of the request is larger than {self.most_bytes} bytes"
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", sentence)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.head_came()
        self.in_head = True

    def on_headers_complete(self) -> None:
        """The head is here."""
        self.in_head = False
        self.head_came()
        self.unseen = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self.unseen = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self.unseen = 0
        super().on_message_complete()

    def await_head(self) -> None:
        """From now on a head has its time."""
        self.head_came()
        self.timer = self.loop.call_later(self.most_seconds, self.head_did_not_come)

    def head_came(self) -> None:
        """It has come, or is not needed any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def head_did_not_come(self) -> None:
        """Time is up; unless it is us who let the connection wait for an answer."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.await_head()
        elif not self.transport.is_closing():
            sentence = f"the head of the request did not come within {self.most_seconds:g} seconds"
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "head_too_slow", sentence)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP; ``msg`` is uvicorn's."""
        self.refuse(HTTPStatus.BAD_REQUEST, "no_http", "this is not HTTP that can be read")

    def refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Says why, and hangs up."""
        self.head_came()
        self.transport.write(refusal(status, code, detail))
        self.transport.close()


def refusal(status: HTTPStatus, code: str, detail: str) -> bytes:
    """A whole answer, for there is no request that an application could answer."""
    request_id = ids.request_id()
    about: dict[str, Any] = {"instance": "", "request_id": request_id}
    retryable = status == HTTPStatus.REQUEST_TIMEOUT
    body = json.dumps(problem(status, code, detail, retryable=retryable) | about).encode()
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


def wire(settings: Settings) -> type[Wire]:
    """The protocol with the limits that are set."""

    class Limited(Wire):
        most_bytes = settings.max_header_bytes
        most_seconds = settings.header_seconds

    return Limited
