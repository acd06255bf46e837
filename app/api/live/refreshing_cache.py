"""What the database said lately, so that a thousand that ask cost one look a moment.

What is known is used for a moment without asking; for another one while somebody looks again, so
that whoever asks for what is in use is not made to wait; then everybody waits for the look.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from anyio import CapacityLimiter, to_thread

Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing")

MAX_CACHED_COUNT = 10_000
"""Things remembered."""


class Cached(NamedTuple, Generic[Thing]):
    """What the database said, and when it was asked."""

    thing: Thing
    asked_at: float


class RefreshingCache(Generic[Name, Thing]):
    """Things that this process has seen lately, by name; a ``None`` is not used but for ``fresh``
    seconds, anything else for ``stale``."""

    def __init__(self, *, fresh: float, stale: float) -> None:
        self.fresh = fresh
        self.stale = stale
        self.seen: OrderedDict[Name, Cached[Thing]] = OrderedDict()
        self.looks: dict[Name, asyncio.Task[Cached[Thing]]] = {}
        # Threads of their own: a look does not wait behind slow requests.
        self.threads = CapacityLimiter(4)

    async def at(self, name: Name, read: Callable[[], Thing]) -> Cached[Thing]:
        """What is known of a name, or what ``read`` says now."""
        seen = self.seen.get(name)
        if seen is None or age(seen) > self.fresh:
            look = self.looking(name, read)
            if seen is None or seen.thing is None or age(seen) > self.stale:
                # Whoever asked first may hang up; the others still want to know.
                seen = await asyncio.shield(look)
        return seen

    def looking(self, name: Name, read: Callable[[], Thing]) -> asyncio.Task[Cached[Thing]]:
        """One look, however many ask for it at the same time."""
        if name not in self.looks:
            look = asyncio.create_task(self.look(name, read))
            self.looks[name] = look
            look.add_done_callback(lambda _: self.looked(name))
        return self.looks[name]

    def looked(self, name: Name) -> None:
        """A look is over. That it failed concerns those who wait for it, if anybody does."""
        look = self.looks.pop(name)
        if not look.cancelled():
            look.exception()

    async def look(self, name: Name, read: Callable[[], Thing]) -> Cached[Thing]:
        """Asks the database and remembers what it says."""
        asked_at = time.monotonic()
        found = await to_thread.run_sync(read, limiter=self.threads)
        seen = self.seen[name] = Cached(found, asked_at)
        self.seen.move_to_end(name)
        while len(self.seen) > MAX_CACHED_COUNT:
            self.seen.popitem(last=False)
        return seen


def age(seen: Cached[Thing]) -> float:
    """Seconds since the database was asked."""
    return time.monotonic() - seen.asked_at
