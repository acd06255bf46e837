"""The wire of a client that is awaited. asyncio is slow to import: only `AsyncClient` does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from fallline.http.blocking_client import MAX_EVENT_BYTES, Stream, content
from fallline.http.request import Request


class AsyncBackend:
    """A wire that waits in an event loop of asyncio."""

    awaited = True

    def __init__(self, timeout: float, **options: Any) -> None:
        self._timeout = timeout
        self._http = httpx2.AsyncClient(**options)

    async def send(self, request: Request) -> httpx2.Response:
        """The answer, its body read."""
        data = content(request)
        given = data if data is None or isinstance(data, bytes) else threaded(data)
        return await self._http.request(content=given, **request.arguments(self._timeout))

    @asynccontextmanager
    async def events(self, request: Request) -> AsyncGenerator[Stream, None]:
        """The answer to a request for a stream, and its events as they come."""
        async with self._http.stream(**request.arguments(self._timeout)) as response:
            if not response.is_success:
                await response.aread()
            yield response, aiter(httpx2.EventSource(response, MAX_EVENT_BYTES))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def threaded(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Blocks that are read in a thread, for the loop to go on meanwhile."""
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block
