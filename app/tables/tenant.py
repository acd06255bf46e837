"""Who owns rows."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, Utc, clock


class Tenant(Base):
    """A customer, a team, a device fleet: whoever shares keys."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(Utc, default=clock())
