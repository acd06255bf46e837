"""Short questions that a worker answers: replays."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class TaskState(StrEnum):
    """queued → running → succeeded | failed."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Task(TenantOwned, Base):
    """One question about a job; kept for an hour after its answer."""

    __tablename__ = "tasks"
    __table_args__ = (Index("ix_tasks_queue", "state", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON())
    request_id: Mapped[str]
    state: Mapped[str] = mapped_column(default=TaskState.QUEUED)
    fence: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None] = mapped_column(Utc)
    worker: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
    finished_at: Mapped[datetime | None] = mapped_column(Utc)
