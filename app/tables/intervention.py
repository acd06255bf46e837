"""Changes that were made to a job while it ran."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class Intervention(TenantOwned, Base):
    """A change of ``lr`` or ``iterations``; ``iteration`` is the first one it applies to,
    ``number`` its place among the changes of its job.

    It is how many losses were durable when the change was made. Whatever a worker had computed
    beyond is dropped, so the job's course is a function of its specification and this log.
    """

    __tablename__ = "interventions"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    iteration: Mapped[int]
    changes: Mapped[dict[str, Any]] = mapped_column(JSON())
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
