"""Hears the hints of all processes, and knows whether it would hear them.

Silence may mean that nothing happens, or that no hint can come. So a process sends a message to the
same channel every ``BEAT_SECONDS``, and while it hears that itself, Redis answers, the subscription
stands, and to publish is allowed.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from app.hints.message import Counters, Hint, channel, decoded, encoded
from app.ids import new_id
from app.redis_connection import TIMEOUT_SECONDS, connection_pool

log = structlog.get_logger()

BEAT_SECONDS = 0.5
"""Between two messages to ourselves."""
RETRY_SECONDS = 0.5
"""Until the next try when Redis did not answer."""
LINGER_SECONDS = 30.0
"""How long hints are heard when nobody wants them any more."""


class Silent(Exception):
    """Redis answers, but what is published does not arrive."""


class Subscriber:
    """The subscription of one process. ``healthy``: hints would be heard."""

    def __init__(self, broker_url: str) -> None:
        self.pool = connection_pool(broker_url)
        self.own_name = new_id("api")
        self.healthy = False
        self.answers = True

    async def run(self, wanted: asyncio.Event, told: Callable[[Hint], None]) -> None:
        """The task: listens while hints are wanted. ``told`` is called with each."""
        if self.pool is None:
            return
        while True:
            await wanted.wait()
            try:
                await self.connected(self.pool, wanted, told)
            except (RedisError, OSError, TimeoutError, Silent) as error:
                self.failed(type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                # Hints would not come any more, for a task that has ended.
                log.exception("hints could not be heard")
                await asyncio.sleep(RETRY_SECONDS)

    async def connected(
        self, pool: ConnectionPool, wanted: asyncio.Event, told: Callable[[Hint], None]
    ) -> None:
        """Listens once, and leaves no connection."""
        try:
            await self.listen(pool, wanted, told)
        finally:
            self.healthy = False
            with suppress(RedisError, OSError):
                await pool.disconnect()

    def failed(self, reason: str) -> None:
        """Says so, the first time."""
        if self.answers:
            log.warning("no hints are heard: those who watch look more often", reason=reason)
        self.answers = False

    async def listen(
        self, pool: ConnectionPool, wanted: asyncio.Event, told: Callable[[Hint], None]
    ) -> None:
        """Until nobody has wanted hints for a while; raises when none can come."""
        client = Redis(connection_pool=pool)
        name = channel(pool.connection_kwargs.get("db", 0))
        beat = encoded({self.own_name: Counters()})
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(name)
            # Redis confirms it. What is published before that is not heard.
            if await pubsub.get_message(timeout=TIMEOUT_SECONDS) is None:
                raise Silent
            wanted_at = time.monotonic()
            while time.monotonic() - wanted_at < LINGER_SECONDS:
                await client.publish(name, beat)
                await self.hear(pubsub, told, time.monotonic() + BEAT_SECONDS)
                if wanted.is_set():
                    wanted_at = time.monotonic()

    async def hear(self, pubsub: PubSub, told: Callable[[Hint], None], until: float) -> None:
        """Hands on what comes until then; raises ``Silent`` when our own message does not."""
        heard = False
        while (left := until - time.monotonic()) > 0:
            message = await pubsub.get_message(timeout=left)
            if message is None or message["type"] != "message":
                continue
            try:
                hint = decoded(message["data"])
            except ValueError:
                log.warning("not a hint, dropped", bytes=len(message["data"]))
                continue
            if self.own_name in hint:
                heard = self.healthy = self.answers = True
            told(hint)
        if not heard:
            raise Silent
