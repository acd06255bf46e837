"""Keys and tenants, as documents."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from app.api.schemas.base import Document, Time
from app.services.tenancy.keys import SCOPES
from app.tables import Tenant

Scope = Annotated[str, WithJsonSchema({"type": "string", "enum": list(SCOPES)})]


Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


SHOWN_ONCE = "the secret was in the first answer alone; it is not kept"


class KeyRequest(Document):
    """A key to be made. ``tenant``: whose it shall be; without one, whose the asking key is."""

    tenant: str | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]
    expires_at: Moment | None = None


class TenantRequest(Document):
    """A tenant to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100)]


class KeyDocument(Document):
    """A key as it is listed; nobody can have its secret again."""

    id: str
    object: Literal["key"] = "key"
    tenant: str
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewKeyDocument(KeyDocument):
    """A new key; ``key`` is the secret, in the first answer alone. ``notice`` says so later."""

    key: str | None
    notice: str | None = None


class KeyList(Document):
    """A page of keys, newest first."""

    data: list[KeyDocument]
    has_more: bool
    next: str | None


class TenantDocument(Document):
    """Who owns things."""

    id: str
    object: Literal["tenant"] = "tenant"
    name: str
    created_at: Time


class TenantList(Document):
    """A page of tenants, newest first."""

    data: list[TenantDocument]
    has_more: bool
    next: str | None


def tenant_document(tenant: Tenant) -> TenantDocument:
    """A tenant as clients see it."""
    return TenantDocument(id=tenant.id, name=tenant.name, created_at=tenant.created_at)
