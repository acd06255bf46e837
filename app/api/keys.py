"""Keys and tenants, for a key with the scope ``admin``: it administers the whole service."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from pydantic import Field, WithJsonSchema

from app.api.answers import Router, keep_instead
from app.api.body import Body, described, read
from app.api.deps import Admin, Administering, After, Limit, Surveying
from app.api.openapi import refusals
from app.api.schemas import Document, Time
from app.services import keys, tenants
from app.services.keys import SCOPES
from app.tables import ApiKey, Tenant

router = Router(prefix="/v1", tags=["keys"])

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


def key_asked(body: Body) -> KeyRequest:
    """The body as a request for a key."""
    return read(body, KeyRequest)


def tenant_asked(body: Body) -> TenantRequest:
    """The body as a request for a tenant."""
    return read(body, TenantRequest)


@router.post(
    "/keys",
    status_code=201,
    operation_id="create_key",
    openapi_extra=described(
        KeyRequest,
        reader={"scopes": ["read"]},
        for_a_while={"scopes": ["train", "predict"], "expires_at": "2099-12-31T23:59:59Z"},
    ),
)
def create_key(
    principal: Admin,
    asked: Annotated[KeyRequest, Depends(key_asked)],
    session: Administering,
    request: Request,
) -> NewKeyDocument:
    """Makes a key. Its secret is in this answer and nowhere else."""
    tenant_id = asked.tenant if asked.tenant is not None else principal.tenant_id
    key, secret = keys.ask_for(session, tenant_id, asked.scopes, asked.expires_at)
    document = NewKeyDocument(**members(key), key=secret)
    keep_instead(request, document.model_copy(update={"key": None, "notice": SHOWN_ONCE}))
    return document


@router.get("/keys", operation_id="list_keys")
def index_keys(session: Surveying, limit: Limit = 20, after: After = None) -> KeyList:
    """Keys of every tenant, newest first, those that have ended among them."""
    page = keys.listed(session, limit, after)
    data = [KeyDocument(**members(key)) for key in page.rows]
    return KeyList(data=data, has_more=page.next is not None, next=page.next)


@router.delete(
    "/keys/{key_id}", status_code=204, operation_id="revoke_key", responses=refusals(409)
)
def revoke_key(key_id: str, session: Administering) -> None:
    """Revokes a key of any tenant: from then on, or seconds later, it opens nothing."""
    keys.revoke(session, key_id)


@router.post(
    "/tenants",
    status_code=201,
    operation_id="create_tenant",
    openapi_extra=described(TenantRequest, customer={"name": "acme"}),
    responses=refusals(409),
)
def create_tenant(
    _: Admin, asked: Annotated[TenantRequest, Depends(tenant_asked)], session: Administering
) -> TenantDocument:
    """Makes a tenant, who has no key yet."""
    return tenant_document(tenants.create(session, asked.name))


@router.get("/tenants", operation_id="list_tenants")
def index_tenants(session: Surveying, limit: Limit = 20, after: After = None) -> TenantList:
    """Tenants, newest first."""
    page = tenants.listed(session, limit, after)
    data = [tenant_document(tenant) for tenant in page.rows]
    return TenantList(data=data, has_more=page.next is not None, next=page.next)


def members(key: ApiKey) -> dict[str, Any]:
    """What a list says of a key."""
    return {
        "id": key.id,
        "tenant": key.tenant_id,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }


def tenant_document(tenant: Tenant) -> TenantDocument:
    """A tenant as clients see it."""
    return TenantDocument(id=tenant.id, name=tenant.name, created_at=tenant.created_at)
