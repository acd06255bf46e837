"""How the service reaches the broker's Redis for what is not Celery's: soon, or not at all.

Celery has settings of its own (``app.broker``). What is asked here is no reason to wait: a Redis
that does not answer within ``TIMEOUT_SECONDS`` is taken for absent.
"""

from redis import ConnectionPool as BlockingPool
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.retry import Retry as BlockingRetry

TIMEOUT_SECONDS = 0.25
"""For a connection, and for an answer."""
TIMEOUTS = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}


def redis_url(broker_url: str) -> str | None:
    """The broker's URL as redis-py reads it; ``None`` when the broker is no Redis.

    kombu, Celery's transport, has its own words for a socket and for the number of the database.
    """
    url = broker_url
    if url.startswith("redis+socket://"):
        url = url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)
    return url if url.startswith(("redis://", "rediss://", "unix://")) else None


def connection_pool(broker_url: str) -> ConnectionPool | None:
    """Connections for an event loop; ``None`` when the broker is no Redis."""
    url = redis_url(broker_url)
    if url is None:
        return None
    # redis-py's default would try again for seconds.
    return ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **TIMEOUTS)


def blocking_pool(broker_url: str) -> BlockingPool | None:
    """Connections for a thread; ``None`` when the broker is no Redis.

    A connection that turns out to be dead, as after a restart of Redis, is replaced at once.
    """
    url = redis_url(broker_url)
    if url is None:
        return None
    return BlockingPool.from_url(url, retry=BlockingRetry(NoBackoff(), 1), **TIMEOUTS)
