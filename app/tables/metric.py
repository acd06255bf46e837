"""Recorded series, many values a row."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, TenantOwned
from app.tables.columns import FloatArray, Floats

CHUNK = 1024
"""Values a closed chunk holds; the open one is rewritten until it is full."""


class MetricChunk(TenantOwned, Base):
    """Values of one series at iterations first, first + stride, first + 2·stride, …"""

    __tablename__ = "metric_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    first_iteration: Mapped[int] = mapped_column(primary_key=True)
    stride: Mapped[int]
    values: Mapped[Floats] = mapped_column(FloatArray)
