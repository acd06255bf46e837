"""Whose a key is, remembered for a moment, so that a thousand that ask cost one look a moment.

A key that was revoked or has expired is refused everywhere within ``USED`` seconds: what is known
of a key is never used longer than that after the look in the database began, however long the
database took to answer. Whoever asks while a good key is looked at again is not made to wait.
"""

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread

from app.db import Database
from app.errors import Unauthenticated, Unavailable
from app.services import keys
from app.services.keys import Principal

FRESH = 1.0
"""Seconds after which one looks again, while what is known still counts."""
STALE = 2.0
"""Seconds after which one looks again and waits for it."""
USED = 4.0
"""Seconds after which what a slow database has answered is too old to be believed."""
MOST = 10_000
"""Keys remembered; those that strangers make up are among them."""


class Seen(NamedTuple):
    """What the database said of a key (``None``: not valid), and when it was asked."""

    principal: Principal | None
    asked_at: float


class Keyring:
    """The keys that this process has seen lately, by their digest: secrets are not held."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.seen: OrderedDict[str, Seen] = OrderedDict()
        self.looks: dict[str, asyncio.Task[Seen]] = {}
        # Threads of their own: a look does not wait behind slow requests.
        self.threads = CapacityLimiter(4)

    async def principal(self, secret: str) -> Principal:
        """Who asks; raises ``Unauthenticated``, or ``Unavailable`` when the database is too slow
        to tell."""
        name = keys.digest(secret)
        seen = self.seen.get(name)
        if seen is None or age(seen) > FRESH:
            look = self.looking(name, secret)
            if seen is None or seen.principal is None or age(seen) > STALE:
                # Whoever asked first may hang up; the others still want to know.
                seen = await asyncio.shield(look)
        if age(seen) > USED:
            raise Unavailable("the database is too slow to tell whose key this is; try again")
        if seen.principal is None:
            raise Unauthenticated("the key is not valid")
        return seen.principal

    def looking(self, name: str, secret: str) -> asyncio.Task[Seen]:
        """One look, however many ask for it at the same time."""
        if name not in self.looks:
            look = asyncio.create_task(self.look(name, secret))
            self.looks[name] = look
            look.add_done_callback(lambda _: self.looked(name))
        return self.looks[name]

    def looked(self, name: str) -> None:
        """A look is over. That it failed concerns those who wait for it, if anybody does."""
        look = self.looks.pop(name)
        if not look.cancelled():
            look.exception()

    async def look(self, name: str, secret: str) -> Seen:
        """Asks the database and remembers what it says."""
        asked_at = time.monotonic()
        found = await to_thread.run_sync(self.read, secret, limiter=self.threads)
        seen = self.seen[name] = Seen(found, asked_at)
        self.seen.move_to_end(name)
        while len(self.seen) > MOST:
            self.seen.popitem(last=False)
        return seen

    def read(self, secret: str) -> Principal | None:
        """What the database says now."""
        with self.database.session(write=False) as session:
            try:
                return keys.authenticate(session, secret)
            except Unauthenticated:
                return None


def age(seen: Seen) -> float:
    """Seconds since the database was asked."""
    return time.monotonic() - seen.asked_at
