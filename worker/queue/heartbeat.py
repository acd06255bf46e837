"""The heartbeat: renews a lease from a thread of its own, on a connection of its own."""

import threading
import time
from types import TracebackType

import structlog

from app.database.base import db_now
from app.database.session import DATABASE_UNAVAILABLE
from app.tables import Job, Task
from worker.process.worker_process import WorkerProcess
from worker.queue.fence import LeaseLost, write

log = structlog.get_logger()

SAFE_LEASE_RATIO = 0.75
"""The part of a lease in which something may still be begun that takes effect outside of the
database: it is done before the lease can be another's."""
RETRY_SECONDS = 1.0
"""Seconds until the next try when the database did not answer."""


class Heartbeat:
    """Keeps a lease alive while what is held makes progress, and no longer than the stall limit.

    The database refuses what is written under an old fence; of everything else nobody can tell it
    whether the lease still holds, so the holder goes by its own monotonic clock: a lease that was
    asked for at a moment ends no earlier than its length after that, whatever a wall clock says.

    ``since``: when the lease that is held was asked for; ``before``: seconds that earlier attempts
    ran.
    """

    def __init__(
        self,
        child: WorkerProcess,
        held: Job | Task,
        since: float | None = None,
        before: float = 0.0,
    ) -> None:
        self.child = child
        self.held = held
        self.before = before
        self.lost = threading.Event()
        self.ended = threading.Event()
        self.began = self.progressed_at = time.monotonic()
        self.renewed_at = self.began if since is None else since
        self.thread = threading.Thread(target=self.beat, name="heartbeat", daemon=True)

    def progress(self) -> None:
        """The work moved on."""
        self.progressed_at = time.monotonic()

    def renewed(self, asked_at: float) -> None:
        """A transaction that was begun at a moment has renewed the lease."""
        self.renewed_at = max(self.renewed_at, asked_at)

    def running_seconds(self) -> float:
        """How long it has run, over all attempts."""
        return self.before + time.monotonic() - self.began

    @property
    def holds(self) -> bool:
        """Whether the lease certainly is still ours, for long enough to do something."""
        age = time.monotonic() - self.renewed_at
        return age < SAFE_LEASE_RATIO * self.child.settings.lease_seconds

    @property
    def stalled(self) -> bool:
        """Whether nothing has moved for longer than may be, while the database answered."""
        return time.monotonic() - self.progressed_at > self.child.settings.stall_seconds

    def wait(self) -> None:
        """Until the lease certainly is ours; raises ``Lost`` when it is not, or nobody renews it
        any more."""
        if not self.holds:
            log.warning("the lease may have run out: nothing is written", held=self.held.id)
        while not self.holds:
            if self.lost.is_set() or self.ended.is_set() or self.stalled:
                raise LeaseLost(f"the lease of {self.held.id} was not renewed")
            time.sleep(0.05)

    def beat(self) -> None:
        """Until the work ends here: one short transaction every few seconds."""
        settings = self.child.settings
        pause = settings.heartbeat_seconds
        while not self.ended.wait(pause):
            if self.stalled:
                log.error("no progress: the lease is left to expire", held=self.held.id)
                return
            pause = settings.heartbeat_seconds
            asked_at = time.monotonic()
            if asked_at - self.renewed_at < settings.heartbeat_seconds:
                continue  # what was recorded has renewed it
            try:
                with self.child.database.session() as session:
                    write(session, self.held, lease_expires_at=db_now(settings.lease_seconds))
            except LeaseLost:
                self.lost.set()
                return
            except DATABASE_UNAVAILABLE:
                log.warning("heartbeat missed: the database does not answer", held=self.held.id)
                self.progress()  # whoever waits for the database does not hang
                pause = min(RETRY_SECONDS, settings.heartbeat_seconds)
            else:
                self.renewed(asked_at)

    def __enter__(self) -> "Heartbeat":
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody renews the lease from here on."""
        self.ended.set()
        if self.thread is not threading.current_thread() and self.thread.is_alive():
            self.thread.join()
