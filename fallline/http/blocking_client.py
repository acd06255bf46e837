"""What does the I/O of a client, and the one that blocks; `loop_wire` has that of an event loop.

A wire is told what to send and gives back answers as they come. What to make of them is the
`Transport`'s, which is the same for both.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeAlias

import httpx2

from fallline.http.request import Request, chunks

# An event of the stream holds at most some thousand points.
MAX_EVENT_BYTES = 32 * 1024 * 1024


Stream: TypeAlias = tuple[httpx2.Response, AsyncIterator[httpx2.ServerSentEvent]]
"""The answer to a request for a stream, and its events."""


class HttpBackend(Protocol):
    """Sends a request, reads a stream of events, and sleeps."""

    awaited: bool

    async def send(self, request: Request) -> httpx2.Response:
        """The answer, its body read."""

    def events(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """The answer to a request for a stream, and its events as they come."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def close(self) -> None:
        """Close the connections."""


class SyncBackend:
    """A wire that does each step before it returns."""

    awaited = False

    def __init__(self, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        self._http = httpx2.Client(**options)

    async def send(self, request: Request) -> httpx2.Response:
        """The answer, its body read."""
        return self._http.request(content=content(request), **request.arguments(self._timeout))

    @asynccontextmanager
    async def events(self, request: Request) -> AsyncGenerator[Stream, None]:
        """The answer to a request for a stream, and its events as they come."""
        with self._http.stream(**request.arguments(self._timeout)) as response:
            if not response.is_success:
                response.read()
            yield response, each(httpx2.EventSource(response, MAX_EVENT_BYTES))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        self._http.close()


def content(request: Request) -> bytes | Iterator[bytes] | None:
    """What a request for an upload carries; a file is read while it is sent."""
    if request.file is None or isinstance(request.file, bytes):
        return request.file
    return chunks(request.file)


async def each(source: httpx2.EventSource) -> AsyncIterator[httpx2.ServerSentEvent]:
    """The events of a blocking stream."""
    for event in source:
        yield event
