"""Sends a hint when a transaction has become durable. Nobody ever waits for it."""

import threading
import time
from functools import cache
from queue import Empty, SimpleQueue

import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from app.config import get_settings
from app.database.session import after_commit
from app.hints.message import Counters, Hint, channel, encoded
from app.redis_connection import blocking_pool

log = structlog.get_logger()

MAX_WAITING_COUNT = 100
"""Hints that may wait for Redis; then the oldest is dropped."""
PAUSE_SECONDS = 1.0
"""Until the next try when Redis did not take one."""


class Publisher:
    """Publishes the hints of a process, one after the other, in a thread of its own.

    The thread begins with the first hint, so that a process that forks before has none.
    """

    def __init__(self, broker_url: str) -> None:
        self.pool = blocking_pool(broker_url)
        self.waiting: SimpleQueue[Hint] = SimpleQueue()
        self.starting = threading.Lock()
        self.thread: threading.Thread | None = None
        self.answers = True

    def put(self, hint: Hint) -> None:
        """Hands a hint over; when too many wait, the oldest makes room."""
        if self.pool is None:
            return
        while self.waiting.qsize() >= MAX_WAITING_COUNT:
            try:
                self.waiting.get_nowait()
            except Empty:  # it has just been sent
                break
        self.waiting.put(hint)
        if self.thread is None:
            self.start()

    def start(self) -> None:
        """Begins the thread, once."""
        with self.starting:
            if self.thread is None:
                self.thread = threading.Thread(target=self.work, name="hints", daemon=True)
                self.thread.start()

    def work(self) -> None:
        """The thread."""
        assert self.pool is not None
        client = Redis(connection_pool=self.pool)
        to = channel(self.pool.connection_kwargs.get("db", 0))
        while True:
            hint = self.waiting.get()
            try:
                client.publish(to, encoded(hint))
            except (RedisError, OSError) as error:
                # Also one that may not publish: who watches looks more often then.
                self.failed(type(error).__name__)
                time.sleep(PAUSE_SECONDS)
            except Exception:
                # A thread that ends would leave all hints to come unsent.
                log.exception("a hint could not be sent")
                time.sleep(PAUSE_SECONDS)
            else:
                self.answers = True

    def failed(self, reason: str) -> None:
        """Says so, the first time."""
        if self.answers:
            log.warning("no hints are sent: Redis does not take them", reason=reason)
        self.answers = False


@cache
def publisher() -> Publisher:
    """That of this process."""
    return Publisher(get_settings().broker_url)


def note(session: Session, job_id: str, counters: Counters | None) -> None:
    """Notes a change that those who watch a job are to hear of when this transaction is durable.

    ``counters``: what the job has come to; ``None``: the job is gone. Whatever a transaction notes
    is one hint.
    """
    hint: Hint | None = session.info.get("hint")
    if hint is None:
        hint = session.info["hint"] = {}
        after_commit(session, lambda: publisher().put(hint))
    known = hint.get(job_id)
    hint[job_id] = counters.max(known) if counters and known else counters
