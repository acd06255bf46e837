"""The doorbell: Celery tasks, sent by name. They name no job: the database says what to do."""

from functools import cache

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.config import get_settings

log = structlog.get_logger()

TRAINING, INTERACTIVE = "fallline.training", "fallline.interactive"
"""Queues, and the names of the one task that each carries."""


@cache
def producer() -> Celery:
    """A Celery application that can send, and never imports the worker."""
    celery = Celery("fallline", broker=get_settings().broker_url, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        broker_connection_timeout=2,
        # A broker that is away is found out at once: the request that rings does not wait for it.
        broker_transport_options={
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            "max_retries": 0,
        },
    )
    return celery


def notify(queue: str) -> bool:
    """Says that there is work. A bell that is lost harms nothing: the sweeper rings again."""
    try:
        producer().send_task(queue, queue=queue, retry=False)
    except (OperationalError, OSError, RedisError) as error:
        log.warning("bell not rung", queue=queue, reason=type(error).__name__)
        return False
    return True


def notify_if_idle(queue: str) -> None:
    """Rings unless a bell waits already; a bell too many harms nothing."""
    if pending(queue) == 0:
        notify(queue)


def pending(queue: str) -> int | None:
    """How many bells wait to be heard; ``None`` when the broker does not answer."""
    connection = producer().connection_for_write()
    try:
        with connection:
            return length(connection.default_channel.client, queue)
    except (OperationalError, RedisError, *connection.connection_errors):
        return None


def length(client: Redis, queue: str) -> int:
    """Of a queue. What bears its name and is none is removed: nobody could ring any more."""
    try:
        return client.llen(queue)
    except ResponseError as error:
        log.warning("not a queue, removed", queue=queue, reason=str(error))
        client.delete(queue)
        return 0
