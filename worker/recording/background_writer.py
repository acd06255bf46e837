"""Hands what was computed to the database while the engine computes what follows."""

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from app.database.session import DATABASE_UNAVAILABLE
from worker.queue.heartbeat import Heartbeat

log = structlog.get_logger()

QUEUED_COUNT = 2
"""Items that may wait for the database; then training waits too."""

Item = TypeVar("Item")


class BackgroundWriter(ABC, Generic[Item]):
    """A writer thread. What stops it is raised at the next ``put``, or at the end."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Item | None] = queue.Queue(maxsize=QUEUED_COUNT)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.work, name="writer", daemon=True)

    @abstractmethod
    def write(self, item: Item) -> None:
        """Records an item, which renews the lease; while the database is away, tries again."""

    def put(self, item: Item) -> None:
        """Hands over an item; waits while the queue is full, raises what went wrong before."""
        while True:
            self.check()
            try:
                self.queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def flush(self) -> None:
        """Waits until everything handed over is durable."""
        while self.queue.unfinished_tasks and self.failure is None:
            with self.queue.all_tasks_done:
                self.queue.all_tasks_done.wait(0.1)
        self.check()

    def check(self) -> None:
        """Raises what stopped the writer."""
        if self.failure is not None:
            raise self.failure

    def work(self) -> None:
        """The thread: one item after the other, until told to end or something goes wrong."""
        while (item := self.queue.get()) is not None:
            try:
                self.write(item)
            except BaseException as error:  # noqa: BLE001 -- raised again by the training thread
                self.failure = error
                return
            finally:
                self.queue.task_done()

    def retry_until_committed(
        self, commit: Callable[[], None], leases: Callable[[], Sequence[Heartbeat]]
    ) -> None:
        """Sends a transaction until the database answers, or nobody has a lease any more that it
        could be written under."""
        pause = 0.1
        while True:
            asked_at = time.monotonic()
            try:
                commit()
            except DATABASE_UNAVAILABLE as error:
                if all(lease.stalled or lease.lost.is_set() for lease in leases()):
                    raise
                log.warning("database away, block waits", error=type(error).__name__)
                time.sleep(pause)
                pause = min(2 * pause, 2.0)
            else:
                for lease in leases():
                    lease.renewed(asked_at)
                return

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Everything handed over is durable when this returns, or its failure is raised."""
        try:
            if kind is None:
                self.flush()
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the thread; what still waits is dropped."""
        while self.thread.is_alive():
            try:
                self.queue.put(None, timeout=0.1)
            except queue.Full:
                continue
            self.thread.join()
