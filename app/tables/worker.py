"""Worker processes that are warm and ready."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, Utc, db_now


class Worker(Base):
    """A prefork child. It registers itself when warm; its supervisor keeps ``seen_at`` fresh.

    ``place``: where its ``pid`` means something (one boot of one kernel, one namespace).
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    supervisor: Mapped[str] = mapped_column(index=True)
    place: Mapped[str]
    pid: Mapped[int]
    pool: Mapped[str]
    device: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
    seen_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
