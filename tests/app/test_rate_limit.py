"""Requests a second: counted together in Redis, alone without it, and nobody waits for it long."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest
from limits import RateLimitItemPerMinute

from app import rate_limit
from app.errors import TooManyRequests
from app.rate_limit import PAUSE_SECONDS, WINDOW_SECONDS, Rates
from app.redis_connection import TIMEOUT_SECONDS
from tests.servers import Redis


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.close()


@pytest.fixture
def a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many requests a minute, not a second: on a slow machine too they are all in one window."""
    monkeypatch.setattr(rate_limit, "RateLimitItemPerSecond", RateLimitItemPerMinute)
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 60.0)


async def spent(counting: Rates, times: int, tenant: str = "tnt_a") -> int:
    """How many of so many requests were let in."""
    let_in = 0
    for _ in range(times):
        try:
            await counting.spend(tenant)
        except TooManyRequests:
            continue
        let_in += 1
    return let_in


def in_a_loop(broker_url: str, *limits: int) -> list[Rates]:
    return [Rates(broker_url, limit) for limit in limits]


@pytest.mark.parametrize("limit", [1, 7, 100, 1001])
def test_no_more_than_the_limit_is_let_in_and_all_of_it(
    limit: int, redis: Redis, a_minute: None
) -> None:
    async def ask() -> int:
        (counting,) = in_a_loop(redis.url, limit)
        let_in = await spent(counting, 2 * limit)
        await counting.close()
        return let_in

    assert asyncio.run(ask()) == limit


def test_processes_count_together_and_tenants_apart(redis: Redis, a_minute: None) -> None:
    async def ask() -> tuple[int, int, int]:
        one, two = in_a_loop(redis.url, 100, 100)
        counts = await asyncio.gather(
            spent(one, 150), spent(two, 150), spent(two, 150, tenant="tnt_b")
        )
        await one.close()
        await two.close()
        return counts

    first, second, other = asyncio.run(ask())
    assert first + second == 100
    assert other == 100


def test_a_second_later_there_is_room_again(redis: Redis) -> None:
    async def ask() -> list[int]:
        (counting,) = in_a_loop(redis.url, 10)
        before = await spent(counting, 20)
        await asyncio.sleep(1.2 * WINDOW_SECONDS)
        counts = [before, await spent(counting, 20)]
        await counting.close()
        return counts

    assert asyncio.run(ask()) == [10, 10]


@pytest.mark.parametrize("how", ["gone", "deaf"])
def test_without_redis_every_process_counts_alone_and_nobody_waits(how: str, redis: Redis) -> None:
    async def ask() -> None:
        (counting,) = in_a_loop(redis.url, 50)
        await spent(counting, 1)
        if how == "gone":
            redis.process.kill()
        else:
            redis.process.signal(signal.SIGSTOP)
        await asyncio.sleep(1.2 * WINDOW_SECONDS)
        began = time.monotonic()
        assert await spent(counting, 100) == 50
        assert time.monotonic() - began < TIMEOUT_SECONDS + 0.5
        await counting.close()

    try:
        asyncio.run(ask())
    finally:
        if how == "deaf":
            redis.process.signal(signal.SIGCONT)


def test_when_redis_is_back_they_count_together_again(
    redis: Redis, a_minute: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "PAUSE_SECONDS", 0.2)
    assert PAUSE_SECONDS > 1

    async def ask() -> int:
        one, two = in_a_loop(redis.url, 100, 100)
        redis.process.kill()
        for counting in (one, two):
            await spent(counting, counting.lease)  # and nothing of it is left
        redis.start()
        await asyncio.sleep(0.3)
        counts = await asyncio.gather(spent(one, 150), spent(two, 150))
        await one.close()
        await two.close()
        return sum(counts)

    assert asyncio.run(ask()) == 100


def test_another_broker_than_redis_leaves_each_process_alone() -> None:
    async def ask() -> int:
        (counting,) = in_a_loop("amqp://nobody@127.0.0.1:1//", 5)
        return await spent(counting, 10)

    assert asyncio.run(ask()) == 5
