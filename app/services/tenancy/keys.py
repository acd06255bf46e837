"""API keys: minted once, kept as a digest, valid until they expire or are revoked."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import String, cast, or_, select, update
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.database.pagination import Page, page
from app.errors import Conflict, Invalid, NotFound, Unauthenticated
from app.ids import new_id
from app.tables import ApiKey, Tenant
from training.spec.mistakes import Mistake, unknown

SCOPES = ("read", "train", "predict", "admin")


class Principal(NamedTuple):
    """Who asks: the key, its tenant, what it may do."""

    key_id: str
    tenant_id: str
    scopes: frozenset[str]


class Minted(NamedTuple):
    """A new key, and its secret, which cannot be had again."""

    key: ApiKey
    secret: str


def mint(
    session: Session,
    tenant_id: str,
    scopes: Sequence[str] = SCOPES,
    expires_at: datetime | None = None,
) -> Minted:
    """A new key; its secret is ``fl_<id>_<256 random bits>``."""
    key_id = new_id("key")
    secret = f"fl_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=key_id,
        tenant_id=tenant_id,
        digest=digest(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return Minted(key, secret)


def ask_for(
    session: Session, tenant_id: str, scopes: Sequence[str], expires_at: str | None
) -> Minted:
    """A key as a client wants it; raises ``Invalid`` with every mistake."""
    found = [
        Mistake(f"/scopes/{i}", "unknown_name", unknown(scope, SCOPES))
        for i, scope in enumerate(scopes)
        if scope not in SCOPES
    ]
    if session.get(Tenant, tenant_id) is None:
        sentence = f"there is no tenant {tenant_id[:64]}"
        found.append(Mistake("/tenant", "unknown_tenant", sentence))
    until = moment(expires_at) if expires_at is not None else None
    if expires_at is not None and until is None:
        sentence = "must be a time with its zone, such as 2030-01-31T12:00:00Z"
        found.append(Mistake("/expires_at", "wrong_type", sentence))
    elif until is not None and until <= now(session):
        found.append(Mistake("/expires_at", "out_of_range", "must lie in the future"))
    if found:
        raise Invalid("the key cannot be made like this", found)
    return mint(session, tenant_id, scopes, until)


def listed(session: Session, limit: int, after: str | None) -> Page[ApiKey]:
    """Keys, newest first, those that are not valid any more among them."""
    return page(session, select(ApiKey), ApiKey.id, limit, after)


def revoke(session: Session, key_id: str) -> None:
    """Ends a key; one that has ended stays as it is.

    The last one that can make others is not revoked: nobody could come in any more. One that
    expires does not count, for it ends by itself.
    """
    # Locked, so that the two last ones are not revoked at the same moment.
    lasting = session.scalars(
        select(ApiKey.id)
        .where(
            ApiKey.revoked_at.is_(None),
            ApiKey.expires_at.is_(None),
            cast(ApiKey.scopes, String).contains('"admin"'),
        )
        .order_by(ApiKey.id)
        .with_for_update()
    ).all()
    key = session.scalar(select(ApiKey).where(ApiKey.id == key_id))
    if key is None:
        raise NotFound(f"there is no key {key_id[:64]}")
    if list(lasting) == [key_id]:
        raise Conflict(
            "this is the last key with the scope `admin` that does not expire; make another first",
            code="last_admin_key",
        )
    named = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    session.execute(named.values(revoked_at=db_now()))


def authenticate(session: Session, secret: str) -> Principal:
    """Whose key this is; raises ``Unauthenticated``."""
    _, _, rest = secret.partition("_")
    key_id = "key_" + rest.partition("_")[0]
    key = session.scalar(
        select(ApiKey).where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > db_now()),
        )
    )
    # Compared in constant time, also when there is no such key.
    known = key.digest if key else digest("")
    if not hmac.compare_digest(known, digest(secret)) or key is None:
        raise Unauthenticated("the key is not valid")
    return Principal(key.id, key.tenant_id, frozenset(key.scopes))


def digest(secret: str) -> str:
    """SHA-256: the secret holds 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def now(session: Session) -> datetime:
    """The moment, by the clock that judges every key."""
    return session.scalars(select(db_now())).one()


def moment(text: str) -> datetime | None:
    """A time as RFC 3339 writes it, in UTC; ``None`` for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def valid(session: Session, key_ids: list[str]) -> set[str]:
    """Those of the keys that still open what they name."""
    in_time = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > db_now())
    named = select(ApiKey.id).where(ApiKey.id.in_(key_ids))
    return set(session.scalars(named.where(ApiKey.revoked_at.is_(None), in_time)))
