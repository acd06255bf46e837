"""The log of a job."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned, Utc, db_now


class Event(TenantOwned, Base):
    """Something that happened to a job; never changed, never removed while the job is there.

    ``iteration``: how many losses were durable when it happened. ``sequence``: its place in the
    series of all that a job has to tell, in which every loss counts one and every event one, so
    that a stream can go on after any number without a gap and without a repetition.
    """

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("job_id", "sequence"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    sequence: Mapped[int] = mapped_column(BigInteger)
    iteration: Mapped[int]
    type: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSON())
    created_at: Mapped[datetime] = mapped_column(Utc, default=db_now())
