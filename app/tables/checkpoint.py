"""Checkpoints."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class Checkpoint(TenantOwned, Base):
    """A stored state of a job. It exists when this row commits, not when its file does."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_job_id_iteration", "job_id", "iteration"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    iteration: Mapped[int]
    location: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
