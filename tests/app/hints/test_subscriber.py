"""Whether hints are heard, and whether that is known."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from app.hints.message import Counters, Hint, channel
from app.hints.publisher import Publisher
from app.hints.subscriber import BEAT_SECONDS, RETRY_SECONDS, Subscriber
from app.redis_connection import TIMEOUT_SECONDS
from tests.servers import Redis

SOON = 5.0
"""Seconds: several times what it takes on a machine that has nothing else to do."""


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    yield server
    server.close()


class Ear:
    """A subscriber that listens, and what it was told of jobs."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.told: Hint = {}

    def take(self, hint: Hint) -> None:
        self.told |= {job_id: said for job_id, said in hint.items() if job_id.startswith("job_")}

    async def hears(self, *, is_healthy: bool = True) -> None:
        await until(lambda: self.subscriber.healthy == is_healthy)


@asynccontextmanager
async def listening(broker_url: str) -> AsyncIterator[Ear]:
    """While somebody wants hints."""
    ear, wanted = Ear(Subscriber(broker_url)), asyncio.Event()
    wanted.set()
    task = asyncio.create_task(ear.subscriber.run(wanted, ear.take))
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_is_published_is_heard(redis: Redis) -> None:
    async def listen() -> None:
        async with listening(redis.url) as ear:
            await ear.hears()
            Publisher(redis.url).put({"job_a": Counters(3, 4), "job_b": None})
            await until(lambda: ear.told == {"job_a": (3, 4), "job_b": None})

    asyncio.run(listen())


def test_a_redis_that_is_killed_is_noticed_and_so_is_its_return(redis: Redis) -> None:
    async def listen() -> None:
        async with listening(redis.url) as ear:
            publisher = Publisher(redis.url)
            await ear.hears()
            redis.process.kill()
            await ear.hears(is_healthy=False)
            redis.start()
            await ear.hears()
            publisher.put({"job_a": Counters(1)})
            await until(lambda: "job_a" in ear.told)

    asyncio.run(listen())


def test_a_redis_that_stands_still_is_noticed_and_blocks_nobody(redis: Redis) -> None:
    async def listen() -> None:
        async with listening(redis.url) as ear:
            await ear.hears()
            redis.process.signal(signal.SIGSTOP)
            began = time.monotonic()
            await ear.hears(is_healthy=False)
            assert time.monotonic() - began < BEAT_SECONDS + TIMEOUT_SECONDS + 1
            longest = await longest_pause(3 * RETRY_SECONDS)
            redis.process.signal(signal.SIGCONT)
            await ear.hears()
            assert longest < TIMEOUT_SECONDS

    asyncio.run(listen())


async def longest_pause(seconds: float) -> float:
    """How long the event loop did nothing else, at most."""
    longest, end = 0.0, time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
    return longest


def test_a_subscription_that_is_cut_is_made_again(redis: Redis) -> None:
    async def listen() -> None:
        async with listening(redis.url) as ear:
            await ear.hears()
            with redis.client() as client:
                assert client.client_kill_filter(_type="pubsub")
            await ear.hears(is_healthy=False)
            await ear.hears()

    asyncio.run(listen())


@pytest.mark.parametrize("forbidden", ["-publish", "-subscribe", "resetchannels"])
def test_who_may_not_publish_or_not_subscribe_does_not_rely_on_hints(
    forbidden: str, redis: Redis
) -> None:
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "weak", forbidden)
    weak = redis.url.replace("redis+socket://", "redis+socket://weak:pw@")

    async def listen() -> None:
        async with listening(weak) as ear:
            Publisher(weak).put({"job_a": Counters(1)})
            await until(lambda: not ear.subscriber.answers)
            await asyncio.sleep(2 * BEAT_SECONDS)
            assert (ear.subscriber.healthy, ear.told) == (False, {})
            with redis.client() as client:  # and it is noticed when that changes
                client.execute_command("ACL", "SETUSER", "weak", "&*", "+@all")
            await ear.hears()

    asyncio.run(listen())


def test_password_and_database_of_the_broker_count_and_deployments_are_apart(redis: Redis) -> None:
    with redis.client() as client:
        client.config_set("requirepass", "s p/a:c@e")
    ours, theirs = (
        f"redis+socket://:s%20p%2Fa%3Ac%40e@{redis.socket}{n}" for n in ("", "?virtual_host=3")
    )

    async def listen() -> None:
        async with listening(ours) as one, listening(theirs) as two:
            await one.hears()
            await two.hears()
            Publisher(theirs).put({"job_theirs": Counters(1)})
            await until(lambda: "job_theirs" in two.told)
            Publisher(ours).put({"job_ours": Counters(1)})
            await until(lambda: "job_ours" in one.told)
            assert [*one.told, *two.told] == ["job_ours", "job_theirs"]

    asyncio.run(listen())


@pytest.mark.parametrize(
    "rubbish", [b"", b"{", b"[]", b'{"job_a": 1}', b'{"job_a": [1, 2, 3]}', b"\xff"]
)
def test_what_is_no_hint_is_dropped(rubbish: bytes, redis: Redis) -> None:
    async def listen() -> None:
        async with listening(redis.url) as ear:
            await ear.hears()
            with redis.client() as client:
                client.publish(channel(0), rubbish)
            Publisher(redis.url).put({"job_b": Counters(1)})
            await until(lambda: "job_b" in ear.told)
            assert (ear.subscriber.healthy, [*ear.told]) == (True, ["job_b"])

    asyncio.run(listen())


def test_a_broker_that_is_no_redis_gives_no_hints() -> None:
    subscriber = Subscriber("amqp://nobody@127.0.0.1:1//")
    asyncio.run(subscriber.run(asyncio.Event(), lambda _: None))
    assert not subscriber.healthy
