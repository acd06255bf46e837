"""Which version answers under a name, remembered for a moment.

A new version answers within a second, and what was deleted is gone within one. That something is
not there is never remembered: whoever waits for a model and asks again sees it at once.
"""

import asyncio
import time
from functools import partial

from app.api.live.refreshing_cache import RefreshingCache
from app.database.session import Database
from app.errors import ServiceError
from app.services import models
from app.services.models import Served, Which

FRESH_SECONDS = 0.25
"""Seconds after which one looks again, while what is known still counts."""
STALE_SECONDS = 0.5
"""Seconds after which one looks again and waits for it."""


class VersionCache(RefreshingCache[tuple[str, Which], Served | ServiceError]):
    """The versions that this process has been asked for lately, by tenant."""

    def __init__(self, database: Database) -> None:
        super().__init__(fresh=FRESH_SECONDS, stale=STALE_SECONDS)
        self.database = database

    async def served(self, tenant_id: str, which: Which) -> Served:
        """The version that answers; raises ``NotFound``, or ``Conflict`` when the job has none."""
        asked_at = time.monotonic()
        name, read = (tenant_id, which), partial(self.read, tenant_id, which)
        thing, seen_at = await self.at(name, read)
        if isinstance(thing, ServiceError) and seen_at < asked_at:  # it may have come meanwhile
            thing, _ = await asyncio.shield(self.looking(name, read))
        if isinstance(thing, ServiceError):
            self.seen.pop(name, None)  # nor do names that somebody makes up take room
            raise thing
        return thing

    def read(self, tenant_id: str, which: Which) -> Served | ServiceError:
        """What the database says now."""
        with self.database.session(tenant_id, write=False) as session:
            try:
                return models.served(session, which)
            except ServiceError as error:
                return error
