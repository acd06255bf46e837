"""The client's keys and tenants, for a key with the scope `admin`: `client.keys.…`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fallline.answers import Page, page_of, read, time_of
from fallline.modes import M, Noun, call, stream
from fallline.numbers import Json
from fallline.request import segment


@dataclass(frozen=True)
class Key:
    """A key: what it opens and until when; `key` is the secret, there when it was just made."""

    id: str
    tenant: str
    scopes: Sequence[str]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    key: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Tenant:
    """Who owns jobs, data and models."""

    id: str
    name: str
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Keys(Noun[M]):
    """Make, list and revoke keys. Every method may raise `ApiError`, `Unreachable`."""

    @call
    async def create(
        self, tenant: str, scopes: Sequence[str], *, expires_at: datetime | None = None
    ) -> Key:
        """A new key; its secret is shown this once.

        Unlike every other POST a repetition makes nothing known again: the service keeps no secret.
        """
        expiry = expires_at and expires_at.isoformat()
        body = {"tenant": tenant, "scopes": scopes, "expires_at": expiry}
        return key_of(await self._http.act("/v1/keys", body))

    @call
    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[Key]:
        """One page of the keys, newest first; `after` is the `next` of the page before."""
        return page_of(await self._http.get("/v1/keys", {"limit": limit, "after": after}), key_of)

    @stream
    async def all(self) -> AsyncGenerator[Key, None]:
        """The keys of every page, newest first."""
        async for row in self._http.rows("/v1/keys"):
            yield key_of(row)

    @call
    async def revoke(self, key: str) -> None:
        """Let a key, by its id, open nothing any more."""
        await self._http.delete(f"/v1/keys/{segment(key)}")


class Tenants(Noun[M]):
    """Make and list tenants. Every method may raise `ApiError`, `Unreachable`."""

    @call
    async def create(self, name: str) -> Tenant:
        """A new tenant, without a key."""
        return tenant_of(await self._http.act("/v1/tenants", {"name": name}))

    @call
    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[Tenant]:
        """One page of the tenants, newest first; `after` is the `next` of the page before."""
        answer = await self._http.get("/v1/tenants", {"limit": limit, "after": after})
        return page_of(answer, tenant_of)

    @stream
    async def all(self) -> AsyncGenerator[Tenant, None]:
        """The tenants of every page, newest first."""
        async for row in self._http.rows("/v1/tenants"):
            yield tenant_of(row)


def key_of(document: Json) -> Key:
    """A key's document."""
    times = {name: time_of(document.get(name)) for name in ("created_at", "expires_at")}
    return read(Key, document, **times)


def tenant_of(document: Json) -> Tenant:
    """A tenant's document."""
    return read(Tenant, document, created_at=time_of(document.get("created_at")))
