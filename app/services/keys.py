"""API keys: minted once, kept as a digest."""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db import clock
from app.errors import Unauthenticated
from app.ids import new_id
from app.tables import ApiKey

SCOPES = ("read", "train", "predict", "admin")


class Principal(NamedTuple):
    """Who asks: the key, its tenant, what it may do."""

    key_id: str
    tenant_id: str
    scopes: frozenset[str]


def mint(
    session: Session,
    tenant_id: str,
    scopes: tuple[str, ...] = SCOPES,
    expires_at: datetime | None = None,
) -> str:
    """A new key's secret: ``fl_<id>_<256 random bits>``. It cannot be had again."""
    key_id = new_id("key")
    secret = f"fl_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    session.add(
        ApiKey(
            id=key_id,
            tenant_id=tenant_id,
            digest=digest(secret),
            scopes=list(scopes),
            expires_at=expires_at,
        )
    )
    return secret


def authenticate(session: Session, secret: str) -> Principal:
    """Whose key this is; raises ``Unauthenticated``."""
    _, _, rest = secret.partition("_")
    key_id = "key_" + rest.partition("_")[0]
    key = session.scalar(
        select(ApiKey).where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > clock()),
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
