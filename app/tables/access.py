"""API keys."""

from datetime import datetime

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class ApiKey(TenantOwned, Base):
    """A key by the digest of its secret; the secret itself is shown once and never stored."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON())
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
    expires_at: Mapped[datetime | None] = mapped_column(Utc)
    revoked_at: Mapped[datetime | None] = mapped_column(Utc)


class Tenant(Base):
    """A customer, a team, a device fleet: whoever shares keys."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
