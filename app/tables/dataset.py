"""Uploaded data sets."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class Dataset(TenantOwned, Base):
    """A table that a client uploaded, kept as typed arrays; never changed.

    ``source`` says what was received (its hash, length, delimiter, encoding …), ``schema`` what
    the columns were found to be, ``statistics`` what is in them.
    """

    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_tenant_id_sha256", "tenant_id", "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    target: Mapped[str]
    rows: Mapped[int]
    schema: Mapped[dict[str, Any]] = mapped_column(JSON())
    source: Mapped[dict[str, Any]] = mapped_column(JSON())
    statistics: Mapped[dict[str, Any]] = mapped_column(JSON())
    location: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
