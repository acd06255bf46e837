"""How a body may come in: no larger than the limit, not too slowly, and not too many at once."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, cast

from app.api.asgi_types import Message, Receive, Scope
from app.api.requests.idempotency import STREAMED
from app.config import Settings
from app.errors import TooLarge, TooSlow, Unavailable

BUFFERED_READ_SECONDS = 0.05
"""Seconds in which is taken what had come already, while this process was busy with others."""


class BodyLimits:
    """The bodies that this process holds in memory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.held = 0

    def of(self, scope: Scope, receive: Receive) -> "LimitedBody":
        """The body of one request."""
        return LimitedBody(self, receive, streamed=scope["path"] in STREAMED)


class LimitedBody:
    """One body as it comes; ``close`` when the request is over.

    One that is ``streamed`` is a file: it is not held, may be larger, and its route looks after its
    pace.
    """

    def __init__(self, bodies: BodyLimits, receive: Receive, *, streamed: bool) -> None:
        self.bodies = bodies
        self.wait = receive
        self.streamed = streamed
        settings = bodies.settings
        self.most = settings.max_upload_bytes if streamed else settings.max_body_bytes
        self.size = self.held = 0
        self.whole = False
        self.began = 0.0

    async def receive(self) -> Message:
        """The next part; raises ``TooLarge``, ``TooSlow`` or ``Unavailable``."""
        if self.whole:  # what comes now is no body, but the news that the client has left
            return await self.wait()
        message = await (self.wait() if self.streamed else self.in_time())
        self.whole = not message.get("more_body", False)
        self.count(len(message.get("body", b"")))
        return message

    async def in_time(self) -> Message:
        """The next part, if it comes before the body falls behind its slowest pace."""
        clock = asyncio.get_running_loop().time
        self.began = self.began or clock()
        part = cast("Coroutine[Any, Any, Message]", self.wait())
        try:  # nearly always it is here, and no alarm has to be set for it
            waits_for = part.send(None)
        except StopIteration as here:
            return cast("Message", here.value)
        settings = self.bodies.settings
        ahead = settings.body_grace_seconds + self.size / settings.body_bytes_per_second
        for deadline, wait in (
            (self.began + ahead, lambda: resumed(part, waits_for)),
            (max(clock(), self.began + ahead) + BUFFERED_READ_SECONDS, self.wait),
        ):
            try:
                async with asyncio.timeout_at(deadline):
                    return await wait()
            except TimeoutError:
                continue
        raise TooSlow(
            f"{self.size} bytes of the body came within {clock() - self.began:.1f} seconds; "
            f"after {settings.body_grace_seconds:g} seconds at least "
            f"{settings.body_bytes_per_second} bytes a second are needed"
        )

    def count(self, size: int) -> None:
        """So much more is held."""
        settings = self.bodies.settings
        self.size += size
        if self.size > self.most:
            raise TooLarge(f"the body is larger than {self.most} bytes")
        if self.streamed:
            return
        self.held += size
        self.bodies.held += size
        if self.bodies.held > settings.max_bodies_bytes:
            raise Unavailable("too many large bodies come at once; try again")

    def close(self) -> None:
        """Nothing of it is held any more."""
        self.bodies.held -= self.held
        self.held = 0


@types.coroutine
def resumed(
    coroutine: Coroutine[Any, Any, Message], waits_for: Any
) -> Generator[Any, Any, Message]:
    """The rest of a coroutine that has begun, and waits for something."""
    while True:
        try:
            came = yield waits_for
        except BaseException as error:  # noqa: BLE001 -- for the coroutine to take
            thrown: BaseException | None = error
        else:
            thrown = None
        try:
            waits_for = coroutine.send(came) if thrown is None else coroutine.throw(thrown)
        except StopIteration as end:
            return cast("Message", end.value)
