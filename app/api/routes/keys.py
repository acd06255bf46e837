"""Keys and tenants, for a key with the scope ``admin``: it administers the whole service."""

from typing import Annotated, Any

from fastapi import Depends, Request

from app.api.requests.dependencies import (
    AdminReadSession,
    AdminWriteSession,
    After,
    CanAdminister,
    Limit,
)
from app.api.requests.idempotency import Router, keep_instead
from app.api.requests.json_body import Body, described, read
from app.api.responses.openapi import refusals
from app.api.schemas.keys import (
    SHOWN_ONCE,
    KeyDocument,
    KeyList,
    KeyRequest,
    NewKeyDocument,
    TenantDocument,
    TenantList,
    TenantRequest,
    tenant_document,
)
from app.services.tenancy import keys, tenants
from app.tables import ApiKey

router = Router(prefix="/v1", tags=["keys"])


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
    principal: CanAdminister,
    asked: Annotated[KeyRequest, Depends(key_asked)],
    session: AdminWriteSession,
    request: Request,
) -> NewKeyDocument:
    """Makes a key. Its secret is in this answer and nowhere else."""
    tenant_id = asked.tenant if asked.tenant is not None else principal.tenant_id
    key, secret = keys.ask_for(session, tenant_id, asked.scopes, asked.expires_at)
    document = NewKeyDocument(**members(key), key=secret)
    keep_instead(request, document.model_copy(update={"key": None, "notice": SHOWN_ONCE}))
    return document


@router.get("/keys", operation_id="list_keys")
def index_keys(session: AdminReadSession, limit: Limit = 20, after: After = None) -> KeyList:
    """Keys of every tenant, newest first, those that have ended among them."""
    page = keys.listed(session, limit, after)
    data = [KeyDocument(**members(key)) for key in page.rows]
    return KeyList(data=data, has_more=page.next is not None, next=page.next)


@router.delete(
    "/keys/{key_id}", status_code=204, operation_id="revoke_key", responses=refusals(409)
)
def revoke_key(key_id: str, session: AdminWriteSession) -> None:
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
    _: CanAdminister,
    asked: Annotated[TenantRequest, Depends(tenant_asked)],
    session: AdminWriteSession,
) -> TenantDocument:
    """Makes a tenant, who has no key yet."""
    return tenant_document(tenants.create(session, asked.name))


@router.get("/tenants", operation_id="list_tenants")
def index_tenants(session: AdminReadSession, limit: Limit = 20, after: After = None) -> TenantList:
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
