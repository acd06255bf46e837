"""The manners of the client: how it asks, asks again, and turns what is no answer into an error."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fallline.errors import ApiError, TaskFailed, Unreachable
from fallline.http.blocking_client import HttpBackend
from fallline.http.event_cursor import EventCursor
from fallline.http.request import Request, key_header
from fallline.http.retries import BUSY, Retries, retry_after
from fallline.jsonable import Json
from fallline.types import Event, part

TASK_POLL_SECONDS = 0.1
MAX_TASK_POLL_SECONDS = 2.0

PAGE_ROWS = 100
"""The most rows that a page of a list has."""

SILENCE_SECONDS = 60.0
"""A stream of events that is silent for longer, without even a comment, is broken."""

LASTING_SECONDS = 5.0
"""A stream that was open for longer counts as one that worked, whatever it said."""

LOCAL = {"127.0.0.1", "::1", "localhost"}


class Transport:
    """Sends requests over a wire, again where that helps; raises `ApiError` and `Unreachable`."""

    def __init__(
        self, wire: HttpBackend, url: str, *, has_key: bool, retries: Retries, timeout: float
    ) -> None:
        self.wire = wire
        self.url = url
        self.timeout = timeout
        self.retries = retries
        self._has_key = has_key

    async def send(self, request: Request, retries: Retries | None = None) -> httpx2.Response:
        """The answer to one request, its status 2xx."""
        retries = retries or self.retries
        done, lost = 0, False
        while True:
            asked = 0.0
            try:
                response = await self._once(request)
            except Unreachable as error:
                failed: ApiError | Unreachable = error
                lost = True
            else:
                if response.is_success or (lost and was_deleted(request, response)):
                    return response
                failed = self.problem(response)
                if response.status_code not in BUSY:
                    raise failed
                asked = retry_after(response.headers)
            pause = retries.pause(done, asked) if request.repeatable else None
            if pause is None:
                raise failed
            await self.wire.sleep(pause)
            done += 1

    async def _once(self, request: Request) -> httpx2.Response:
        with self.told():
            return await self.wire.send(request)

    async def get(
        self, path: str, params: Mapping[str, Any] | None = None, *, held: float = 0.0
    ) -> Json:
        """The JSON of a GET, whose answer the service may hold for `held` seconds."""
        request = Request("GET", path, params or {}, timeout=self.timeout + held)
        return self.read(await self.send(request, self.retries.longer() if held else None))

    async def rows(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Json, None]:
        """The rows of a list, page after page."""
        after: str | None = None
        while True:
            page = await self.get(path, {**(params or {}), "limit": PAGE_ROWS, "after": after})
            for row in part(page, "data"):
                yield row
            after = part(page, "next")
            if after is None:
                return

    async def ask(self, path: str, body: Mapping[str, Any]) -> Json:
        """The JSON of a POST that changes nothing."""
        return self.read(await self.send(Request("POST", path, body=body)))

    async def act(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Json:
        """The JSON of a POST that acts: once, however often it has to be sent."""
        headers = {**(headers or {}), **key_header(key)}
        return self.read(await self.send(Request("POST", path, body=body, headers=headers, **more)))

    async def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """The JSON of a PATCH."""
        return self.read(await self.send(Request("PATCH", path, body=body)))

    async def delete(self, path: str) -> None:
        """DELETE what is at a path."""
        await self.send(Request("DELETE", path))

    async def result(self, request: Request) -> Json:
        """What a request lets compute; work that was only accepted (202, a task) is waited for."""
        response = await self.send(request)
        if response.status_code != httpx2.codes.ACCEPTED:
            return self.read(response)
        # Only the path: a key must never follow a Location to another host.
        return await self._task(urlsplit(response.headers["Location"]).path)

    async def _task(self, path: str) -> Json:
        pause = TASK_POLL_SECONDS
        while True:
            task = await self.get(path)
            state = part(task, "state")
            if state == "succeeded":
                return part(task, "result")
            if state == "failed":
                raise TaskFailed(part(task, "id"), task.get("error"))
            await self.wire.sleep(pause)
            pause = min(1.5 * pause, MAX_TASK_POLL_SECONDS)

    async def follow(self, reading: EventCursor) -> AsyncGenerator[Event, None]:
        """The events of a job until its `end`, over as many streams as it takes."""
        silent = 0
        while True:
            failed: Unreachable | ApiError = Unreachable(self.url, "its stream of events ended")
            opened = time.monotonic()
            try:
                async with aclosing(self._stream(reading)) as events:
                    async for event in events:
                        silent = 0
                        yield event
                        if event.type == "end":
                            return
            except Unreachable as error:
                failed = error
            except ApiError as error:
                if error.status not in BUSY:
                    raise
                failed = error
            if time.monotonic() - opened > LASTING_SECONDS:
                silent = 0
            asked = failed.retry_after if isinstance(failed, ApiError) else 0.0
            begun = reading.last_id is not None
            retries = self.retries.longer() if begun else self.retries
            pause = retries.pause(silent, asked)
            if pause is None:
                raise failed
            await self.wire.sleep(pause)
            silent += 1

    async def _stream(self, reading: EventCursor) -> AsyncGenerator[Event, None]:
        with self.told():
            async with self.wire.events(reading.request(SILENCE_SECONDS)) as (response, frames):
                if not response.is_success:
                    raise self.problem(response)
                async for frame in frames:
                    if (event := reading.take(frame)) is not None:
                        yield event

    @contextmanager
    def told(self) -> Iterator[None]:
        """What goes wrong on the way is `Unreachable`, with a sentence."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise Unreachable(self.url, "it did not answer in time") from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Unreachable(self.url, str(error) or type(error).__name__) from error

    def read(self, response: httpx2.Response) -> Json:
        """The JSON of an answer; something else is not a Fallline that answers."""
        try:
            return response.json()
        except ValueError as error:
            raise ApiError(response.status_code, no_json(response)) from error

    def problem(self, response: httpx2.Response) -> ApiError:
        """The error of an answer of 300 and above; one of a proxy's is no problem document."""
        document: dict[str, Any] = {}
        if "json" in response.headers.get("Content-Type", ""):
            answer = self.read(response)
            document = answer if isinstance(answer, dict) else {}
        if not document:
            document = no_json(response)
        if response.status_code == httpx2.codes.UNAUTHORIZED and not self._has_key:
            document["detail"] = (
                "No key was found: set FALLLINE_API_KEY, or FALLLINE_HOME to the service's home."
            )
        return ApiError(response.status_code, document, retry_after=retry_after(response.headers))


def was_deleted(request: Request, response: httpx2.Response) -> bool:
    """Whether a repeated DELETE finds nothing: only the answer to the first was lost."""
    return request.method == "DELETE" and response.status_code == httpx2.codes.NOT_FOUND


def no_json(response: httpx2.Response) -> dict[str, Any]:
    """A problem for an answer that holds none."""
    return {"detail": f"The answer was no JSON: {response.text[:200]!r}."}


def options(url: str, key: str | None) -> dict[str, Any]:
    """How a connection to `url` is made, of either kind."""
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        # A proxy of the environment cannot reach our loopback; certificates take 0.1 s to read.
        "trust_env": urlsplit(url).hostname not in LOCAL,
        "verify": url.startswith("https:"),
    }
