"""The heartbeat: renews a lease from a thread of its own, on a connection of its own."""

import threading
import time
from types import TracebackType

import structlog
from sqlalchemy.exc import OperationalError

from app.db import clock
from app.tables import Job, Task
from worker.child import Child
from worker.fence import Lost, write

log = structlog.get_logger()


class Heartbeat:
    """Keeps a lease alive while what is held makes progress, and no longer than the stall limit.

    ``before``: seconds that earlier attempts ran.
    """

    def __init__(self, child: Child, held: Job | Task, before: float = 0.0) -> None:
        self.child = child
        self.held = held
        self.before = before
        self.lost = threading.Event()
        self.ended = threading.Event()
        self.began = self.progressed_at = time.monotonic()
        self.thread = threading.Thread(target=self.beat, name="heartbeat", daemon=True)

    def progress(self) -> None:
        """The work moved on."""
        self.progressed_at = time.monotonic()

    def running_seconds(self) -> float:
        """How long it has run, over all attempts."""
        return self.before + time.monotonic() - self.began

    def beat(self) -> None:
        """Until the work ends here: one short transaction every few seconds."""
        settings = self.child.settings
        while not self.ended.wait(settings.heartbeat_seconds):
            if time.monotonic() - self.progressed_at > settings.stall_seconds:
                log.error("no progress: the lease is left to expire", held=self.held.id)
                return
            try:
                with self.child.database.session() as session:
                    write(session, self.held, lease_expires_at=clock(settings.lease_seconds))
            except Lost:
                self.lost.set()
                return
            except OperationalError:
                log.warning("heartbeat missed: the database does not answer", held=self.held.id)

    def __enter__(self) -> "Heartbeat":
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()
