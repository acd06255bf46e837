"""What a process knows of the keys that it has seen lately."""

import asyncio
import time

import pytest

from app.api.live.key_cache import FRESH_SECONDS, STALE_SECONDS, KeyCache
from app.api.live.refreshing_cache import Cached, age
from app.services.tenancy.keys import Principal, digest
from tests.app.conftest import database_of, new_key
from tests.service import Service


def test_nobody_waits_while_a_key_in_use_is_looked_at_again_until_what_is_known_is_too_old(
    api: Service,
) -> None:
    secret = new_key(api)
    name = digest(secret)

    async def story() -> None:
        with database_of(api) as database:
            keyring = KeyCache(database)
            principal = await keyring.principal(secret)
            # Nobody can look until all threads are given back.
            for borrower in range(int(keyring.threads.total_tokens)):
                await keyring.threads.acquire_on_behalf_of(borrower)
            known = Cached[Principal | None](
                principal, time.monotonic() - (FRESH_SECONDS + STALE_SECONDS) / 2
            )
            keyring.seen[name] = known
            assert await asyncio.wait_for(keyring.principal(secret), 2) is principal
            keyring.seen[name] = Cached(principal, time.monotonic() - STALE_SECONDS)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(keyring.principal(secret), 0.2)
            for borrower in range(int(keyring.threads.total_tokens)):
                keyring.threads.release_on_behalf_of(borrower)
            assert await keyring.principal(secret) == principal
            assert age(keyring.seen[name]) < FRESH_SECONDS

    asyncio.run(story())
