"""Whose a key is, remembered for a moment; those that strangers make up are remembered as well.

A key that was revoked or has expired is refused everywhere within ``USED`` seconds: what is known
of a key is never used longer than that after the look in the database began, however long the
database took to answer.
"""

from functools import partial

from app.api.live.refreshing_cache import RefreshingCache, age
from app.database.session import Database
from app.errors import Unauthenticated, Unavailable
from app.services.tenancy import keys
from app.services.tenancy.keys import Principal

FRESH_SECONDS = 1.0
"""Seconds after which one looks again, while what is known still counts."""
STALE_SECONDS = 2.0
"""Seconds after which one looks again and waits for it."""
MAX_AGE_SECONDS = 4.0
"""Seconds after which what a slow database has answered is too old to be believed."""


class KeyCache(RefreshingCache[str, Principal | None]):
    """The keys that this process has seen lately (``None``: not valid), by their digest: secrets
    are not held."""

    def __init__(self, database: Database) -> None:
        super().__init__(fresh=FRESH_SECONDS, stale=STALE_SECONDS)
        self.database = database

    async def principal(self, secret: str) -> Principal:
        """Who asks; raises ``Unauthenticated``, or ``Unavailable`` when the database is too slow
        to tell."""
        seen = await self.at(keys.digest(secret), partial(self.read, secret))
        if age(seen) > MAX_AGE_SECONDS:
            raise Unavailable("the database is too slow to tell whose key this is; try again")
        if seen.thing is None:
            raise Unauthenticated("the key is not valid")
        return seen.thing

    def read(self, secret: str) -> Principal | None:
        """What the database says now."""
        with self.database.session(write=False) as session:
            try:
                return keys.authenticate(session, secret)
            except Unauthenticated:
                return None
