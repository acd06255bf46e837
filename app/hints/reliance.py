"""Whether hints can be relied on: they would be heard, and those that should have come did.

That this process hears itself says nothing of the others: a worker may be cut off from Redis, may
not publish there, or may be of a version that sends no hints. But what it commits is seen in the
database all the same, and a hint that does not follow was missed.
"""

import time

import structlog

from app.hints.message import Counters
from app.hints.subscriber import Subscriber

log = structlog.get_logger()

GRACE_SECONDS = 0.5
"""By how much a hint may come later than what it speaks of is seen."""
DISTRUST_SECONDS = 10.0
"""How long hints are not relied on after one was missed."""


class Expected:
    """A hint that is to come, since something was seen that none has spoken of."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.since = time.monotonic()


class Reliance:
    """``heard``: the furthest that hints have said of each watched job."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.heard: dict[str, Counters] = {}
        self.expected: dict[str, Expected] = {}
        self.distrust_until = 0.0

    def hear(self, job_id: str, counters: Counters) -> None:
        """A hint has come."""
        heard = self.heard[job_id] = self.heard.get(job_id, Counters()).max(counters)
        if job_id in self.expected and heard.cover(self.expected[job_id].counters):
            del self.expected[job_id]

    def see(self, job_id: str, grown: Counters) -> None:
        """A job has come further: ``grown`` has those of its counters that are larger now."""
        if self.heard.get(job_id, Counters()).cover(grown):
            return
        if job_id in self.expected:
            self.expected[job_id].counters = grown.max(self.expected[job_id].counters)
        else:
            self.expected[job_id] = Expected(grown)

    def forget(self, job_id: str) -> None:
        """Nobody watches the job any more."""
        self.heard.pop(job_id, None)
        self.expected.pop(job_id, None)

    def holds(self) -> bool:
        """Whether a change of a watched job would be heard of now."""
        if not self.subscriber.healthy:
            self.expected.clear()
            return False
        now = time.monotonic()
        if any(now - hint.since > GRACE_SECONDS for hint in self.expected.values()):
            if now >= self.distrust_until:
                log.warning("a hint was missed: for a while those who watch look more often")
            self.expected.clear()
            self.distrust_until = now + DISTRUST_SECONDS
        return now >= self.distrust_until
