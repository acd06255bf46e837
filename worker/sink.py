"""Hands blocks to the database while the engine computes the next one."""

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import structlog

from app.db import AWAY
from worker.lease import Heartbeat
from worker.recorder import Entry, Recorder

log = structlog.get_logger()

SPOOL = 2
"""Blocks that may wait for the database; then training waits too."""

Item = TypeVar("Item")


class Spool(ABC, Generic[Item]):
    """A writer thread. What stops it is raised at the next ``put``, or at the end."""

    def __init__(self) -> None:
        self.spool: queue.Queue[Item | None] = queue.Queue(maxsize=SPOOL)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.work, name="sink", daemon=True)

    @abstractmethod
    def insist(self, item: Item) -> None:
        """Records an item, which renews the lease; while the database is away, tries again."""

    def put(self, item: Item) -> None:
        """Hands over a block; waits while the spool is full, raises what went wrong before."""
        while True:
            self.check()
            try:
                self.spool.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def flush(self) -> None:
        """Waits until everything handed over is durable."""
        while self.spool.unfinished_tasks and self.failure is None:
            with self.spool.all_tasks_done:
                self.spool.all_tasks_done.wait(0.1)
        self.check()

    def check(self) -> None:
        """Raises what stopped the writer."""
        if self.failure is not None:
            raise self.failure

    def work(self) -> None:
        """The thread: one entry after the other, until told to end or something goes wrong."""
        while (item := self.spool.get()) is not None:
            try:
                self.insist(item)
            except BaseException as error:  # noqa: BLE001 -- raised again by the training thread
                self.failure = error
                return
            finally:
                self.spool.task_done()

    def until_answered(
        self, commit: Callable[[], None], leases: Callable[[], Sequence[Heartbeat]]
    ) -> None:
        """Sends a transaction until the database answers, or nobody has a lease any more that it
        could be written under."""
        pause = 0.1
        while True:
            asked_at = time.monotonic()
            try:
                commit()
            except AWAY as error:
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
                self.spool.put(None, timeout=0.1)
            except queue.Full:
                continue
            self.thread.join()


class Sink(Spool[Entry]):
    """Records the blocks of one job.

    Files are written only under a lease that certainly is ours. The transaction needs no such
    proof, it begins with the fence.
    """

    def __init__(self, recorder: Recorder, lease: Heartbeat) -> None:
        super().__init__()
        self.recorder = recorder
        self.lease = lease

    def insist(self, item: Entry) -> None:
        self.lease.wait()
        prepared = self.recorder.prepare(item)
        self.until_answered(lambda: self.recorder.commit(prepared), lambda: [self.lease])
