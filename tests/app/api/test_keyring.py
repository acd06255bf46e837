"""What a process knows of the keys that it has seen lately."""

import asyncio
import time

import pytest

from app.api.keyring import FRESH, STALE, Keyring
from app.api.lately import Seen, age
from app.services.keys import Principal, digest
from tests.app.conftest import database_of, new_key
from tests.service import Service


def test_nobody_waits_while_a_key_in_use_is_looked_at_again_until_what_is_known_is_too_old(
    api: Service,
) -> None:
    secret = new_key(api)
    name = digest(secret)

    async def story() -> None:
        with database_of(api) as database:
            keyring = Keyring(database)
            principal = await keyring.principal(secret)
            # Nobody can look until all threads are given back.
            for borrower in range(int(keyring.threads.total_tokens)):
                await keyring.threads.acquire_on_behalf_of(borrower)
            known = Seen[Principal | None](principal, time.monotonic() - (FRESH + STALE) / 2)
            keyring.seen[name] = known
            assert await asyncio.wait_for(keyring.principal(secret), 2) is principal
            keyring.seen[name] = Seen(principal, time.monotonic() - STALE)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(keyring.principal(secret), 0.2)
            for borrower in range(int(keyring.threads.total_tokens)):
                keyring.threads.release_on_behalf_of(borrower)
            assert await keyring.principal(secret) == principal
            assert age(keyring.seen[name]) < FRESH

    asyncio.run(story())
