"""The least that Celery can do: a task that answers by pushing onto a Redis list."""

import os

import redis
from celery import Celery

SOCKET = os.environ["BENCHMARK_REDIS_SOCKET"]
celery = Celery("bare", broker=f"redis+socket://{SOCKET}")
celery.conf.update(task_ignore_result=True, worker_enable_remote_control=False)
answers = redis.Redis(unix_socket_path=SOCKET)


@celery.task(name="bare.echo")
def echo(key: str) -> None:
    """Says that it ran."""
    answers.lpush(key, "done")
