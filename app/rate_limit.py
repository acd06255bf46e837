"""How often a tenant may ask, counted by all API processes together.

The count is a moving window in Redis. A process takes several requests' worth at once, so that most
requests ask nobody. While Redis is away each process counts for itself, and one try every few
seconds finds out when it is back: a request is never delayed for long, and never fails for that.
"""

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from app.errors import TooManyRequests
from app.redis_connection import connection_pool

log = structlog.get_logger()

WINDOW_SECONDS = 1.0
"""Seconds of the window; what was taken from it and not used is lost after them."""
ALLOWANCE_COUNT = 50
"""Parts in which a tenant's requests are taken."""
PAUSE_SECONDS = 5.0
"""Seconds that Redis is left alone after it did not answer."""
MAX_TENANT_COUNT = 10_000
"""Tenants remembered."""


@dataclass
class Allowance:
    """What this process may still let in for a tenant, until a moment."""

    left: int = 0
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it, or nothing any more."""
        return self.left == 0 or self.until < time.monotonic()


class Rates:
    """The limit of requests a second, for every tenant the same."""

    def __init__(self, broker_url: str, per_second: int) -> None:
        self.limit = RateLimitItemPerSecond(per_second)
        self.lease = max(1, per_second // ALLOWANCE_COUNT)
        self.purses: OrderedDict[str, Allowance] = OrderedDict()
        self.alone = MovingWindowRateLimiter(MemoryStorage())
        self.pool = connection_pool(broker_url)
        self.together = MovingWindowRateLimiter(storage(self.pool)) if self.pool else self.alone
        self.away_until = 0.0

    async def spend(self, tenant_id: str) -> None:
        """One request; raises ``TooManyRequests``."""
        purse = self.purse(tenant_id)
        # A lock wakes one who waits at a time, and whoever comes meanwhile waits too: under load
        # they would pass in single file for ever. So it is asked for an empty purse alone.
        if purse.empty:
            async with purse.lock:
                if purse.empty:
                    await self.fill(purse, tenant_id)
        if purse.left == 0:
            raise TooManyRequests(
                f"a tenant may make {self.limit.amount} requests a second "
                "(FALLLINE_REQUESTS_PER_SECOND); wait a second"
            )
        purse.left -= 1

    def purse(self, tenant_id: str) -> Allowance:
        """That of a tenant; whoever was not seen for longest is forgotten."""
        purse = self.purses.setdefault(tenant_id, Allowance())
        self.purses.move_to_end(tenant_id)
        while len(self.purses) > MAX_TENANT_COUNT:
            self.purses.popitem(last=False)
        return purse

    async def fill(self, purse: Allowance, tenant_id: str) -> None:
        """Takes a handful, or the last one, or nothing."""
        purse.left, purse.until = 0, time.monotonic() + WINDOW_SECONDS
        for cost in dict.fromkeys((self.lease, 1)):
            if await self.taken(tenant_id, cost):
                purse.left = cost
                return

    async def taken(self, tenant_id: str, cost: int) -> bool:
        """Whether the window had so many left, which are used now."""
        if time.monotonic() >= self.away_until:
            # Until the answer is here nobody else waits for Redis, should it be away.
            self.away_until = time.monotonic() + PAUSE_SECONDS if self.away_until else 0.0
            try:
                given = await self.together.hit(self.limit, tenant_id, cost=cost)
            except (RedisError, OSError, TimeoutError) as error:
                self.away_until = time.monotonic() + PAUSE_SECONDS
                log.warning("requests are counted alone", reason=type(error).__name__)
            else:
                self.away_until = 0.0
                return given
        return await self.alone.hit(self.limit, tenant_id, cost=cost)

    async def close(self) -> None:
        """Lets go of Redis."""
        if self.pool is not None:
            with suppress(RedisError, OSError):
                await self.pool.disconnect()


def storage(pool: ConnectionPool) -> RedisStorage:
    """The windows in Redis."""
    options: dict[str, Any] = {"connection_pool": pool}  # its annotation forgets that one
    prefix = "fallline:rates"
    return RedisStorage("async+redis://", implementation="redispy", key_prefix=prefix, **options)
