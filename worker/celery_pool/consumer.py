"""How a pool hears its bells: Celery's consumer, with three habits of its own.

While the broker is away it tries again every second; Celery waits longer and longer, up to half a
minute. A child that died is replaced within half a second; Celery looks every five. And what lies
in its queue and is no bell is dropped and counted; Celery ends over most of
what it cannot read.
"""

import os
from base64 import b64decode
from contextlib import suppress
from typing import Annotated, Any, Literal

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.asynchronous import Hub
from kombu.connection import Connection
from kombu.transport.redis import Channel, Transport
from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import from_json
from redis import Redis

log = structlog.get_logger()

RECONNECT_SECONDS = 1.0
"""Seconds between two tries to reach the broker."""
POLL_SECONDS = 0.5
"""Seconds between two looks whether all children are there."""
NO_ARGUMENTS = "W1tdLCB7fSwge31d"
"""``[[], {}, {}]``, as Celery writes it: a bell brings nothing."""


def without_arguments(body: str) -> str:
    """The body of a bell; what Celery would do after the task is left away."""
    arguments = from_json(b64decode(body, validate=True))
    if not isinstance(arguments, list) or arguments[:2] != [[], {}]:
        raise ValueError("a bell has no arguments")
    return NO_ARGUMENTS


class Headers(BaseModel):
    """What is to be done, under what name."""

    task: Literal["fallline.training", "fallline.interactive"]
    id: str


class DeliveryInfo(BaseModel):
    """How a message came to its queue."""

    exchange: str
    routing_key: str


class Properties(BaseModel):
    """``delivery_tag``: under this name it is acknowledged."""

    body_encoding: Literal["base64"]
    delivery_tag: str
    delivery_info: DeliveryInfo


class WakeUp(BaseModel):
    """A message that can be heard: all that Celery needs of it, and nothing more."""

    body: Annotated[str, AfterValidator(without_arguments)]
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    headers: Headers
    properties: Properties


def parse(message: bytes) -> bytes | None:
    """A bell as Celery is given it; ``None`` for all else."""
    try:
        return WakeUp.model_validate_json(message).model_dump_json(by_alias=True).encode()
    except ValidationError:
        return None


def drop(queue: bytes, message: bytes) -> None:
    """Tells the supervisor, who counts: no database is opened in this process."""
    log.warning("not a bell, dropped", queue=queue.decode(), bytes=len(message))
    if (supervisor := os.environ.get("FALLLINE_DROPPED")) is not None:
        with suppress(BlockingIOError):  # so many that they are not worth counting
            os.write(int(supervisor), b".")


class FilteringRedis(Redis):
    """Takes bells out of a queue, and whatever else is there."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """The next bell; of a message that is none, as if none had come."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not answer:
            return answer
        queue, message = answer
        bell = parse(message)
        if bell is None:
            drop(queue, message)
            return None
        return queue, bell


class FilteringChannel(Channel):
    """A channel that hears bells alone."""

    def _get_client(self) -> type[Redis]:
        return FilteringRedis


class FilteringTransport(Transport):
    """Redis, heard so."""

    Channel = FilteringChannel


class PoolConsumer(Consumer):
    """The consumer of a pool."""

    def ensure_connected(self, connection: Connection) -> Connection:
        """Once it is there, however long that takes; SIGTERM is obeyed meanwhile."""
        if issubclass(connection.get_transport_cls(), Transport):
            connection.transport_cls = FilteringTransport
        tries = {
            "interval_start": RECONNECT_SECONDS,
            "interval_step": 0,
            "interval_max": RECONNECT_SECONDS,
        }
        connection.ensure_connection(self.away, callback=maybe_shutdown, **tries)
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return connection

    def register_with_event_loop(self, hub: Hub) -> None:
        """Whenever it has connected: timers do not outlive a connection."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(POLL_SECONDS, self.pool.maintain_pool)

    def away(self, error: Exception, again: float) -> None:
        """A try failed; the first of them is told."""
        if self.broker_connection_retry_attempt == 0:
            log.warning("the broker does not answer", error=type(error).__name__)
        self.broker_connection_retry_attempt += 1
