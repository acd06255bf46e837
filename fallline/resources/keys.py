"""The client's keys and tenants, for a key with the scope `admin`: `client.keys.…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fallline.errors import FalllineError
from fallline.http.request import segment
from fallline.http.sync_async import M, dual_method
from fallline.jsonable import Json
from fallline.resources.listing import Listing
from fallline.types import read, time_of


@dataclass(frozen=True)
class Key:
    """A key: what it opens and until when; `key` is the secret, there when it was just made."""

    id: str
    tenant: str
    scopes: Sequence[str]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    key: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Tenant:
    """Who owns jobs, data and models."""

    id: str
    name: str
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Keys(Listing[Key, M]):
    """Make, list and revoke keys. Every method may raise `ApiError`, `Unreachable`."""

    _where = "/v1/keys"

    @staticmethod
    def _row(document: Json) -> Key:
        """A key's document."""
        times = {
            name: time_of(document.get(name)) for name in ("created_at", "expires_at", "revoked_at")
        }
        return read(Key, document, **times)

    @dual_method
    async def create(
        self,
        scopes: Sequence[str],
        *,
        tenant: str | None = None,
        expires_at: datetime | None = None,
    ) -> Key:
        """A new key for a tenant, by its id, or for our own; its secret is shown this once.

        The service keeps no secret: if the answer is lost on its way, that is an error here, which
        names the key to be revoked.
        """
        expiry = expires_at and expires_at.astimezone(UTC).isoformat()
        wish = {"scopes": scopes, "tenant": tenant, "expires_at": expiry}
        body = {name: value for name, value in wish.items() if value is not None}
        made = self._row(await self._http.act("/v1/keys", body))
        if made.key is None:
            raise FalllineError(
                f"The key {made.id} was made, but the answer with its secret was lost. "
                "Revoke it and make another."
            )
        return made

    @dual_method
    async def revoke(self, key: str) -> None:
        """Let a key, by its id, open nothing any more."""
        await self._http.delete(f"/v1/keys/{segment(key)}")


class Tenants(Listing[Tenant, M]):
    """Make and list tenants. Every method may raise `ApiError`, `Unreachable`."""

    _where = "/v1/tenants"

    @staticmethod
    def _row(document: Json) -> Tenant:
        """A tenant's document."""
        return read(Tenant, document, created_at=time_of(document.get("created_at")))

    @dual_method
    async def create(self, name: str) -> Tenant:
        """A new tenant, without a key."""
        return self._row(await self._http.act("/v1/tenants", {"name": name}))
