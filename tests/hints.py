"""Hints as they come out of the broker."""

from types import TracebackType
from typing import Self

from redis import Redis
from redis.client import PubSub

from app.hints.message import Counters, Hint, channel, decoded
from app.redis_connection import blocking_pool
from tests.servers import eventually


class Heard:
    """All hints from here on. ``deployment``: the number of its database in Redis."""

    def __init__(self, broker_url: str, deployment: int = 0) -> None:
        self.client = Redis(connection_pool=blocking_pool(broker_url))
        self.pubsub = PubSub(self.client.connection_pool, ignore_subscribe_messages=True)
        self.pubsub.subscribe(channel(deployment))
        eventually(lambda: self.pubsub.get_message() is None, "it is confirmed")
        self.hints: list[Hint] = []

    def now(self) -> list[Hint]:
        """What has come by now."""
        while message := self.pubsub.get_message():
            self.hints.append(decoded(message["data"]))
        return self.hints

    def next(self) -> Hint:
        """The next one that is not taken yet."""
        eventually(self.now, "a hint comes")
        return self.hints.pop(0)

    def furthest(self, job_id: str) -> Counters:
        """The most that was said of a job."""
        found = Counters()
        for hint in self.now():
            found = found.max(hint.get(job_id) or Counters())
        return found

    def close(self) -> None:
        """Listens no more."""
        self.pubsub.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
