"""Recorded series, many values a row, and what can be seen of them from afar."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, TenantOwned
from app.database.column_types import FloatArray, Floats, Marks, Pairs

CHUNK_VALUES = 1024
"""Values a closed chunk holds; the open one is rewritten until it is full."""
FAN_OUT_COUNT = 4
"""Rows of one level that make one of the next."""
NODE_COUNT = 64
"""Parts of a level's row that each keep their own extremes."""


class MetricChunk(TenantOwned, Base):
    """Values of one series at iterations first, first + stride, first + 2·stride, …"""

    __tablename__ = "metric_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    first_iteration: Mapped[int] = mapped_column(primary_key=True)
    stride: Mapped[int]
    values: Mapped[Floats] = mapped_column(FloatArray)


class MetricLevel(TenantOwned, Base):
    """What an eye would miss of a stretch of a series: the extremes of each of its ``NODES`` parts.

    A row of level 1 stands for a closed chunk, one of level k for ``FAN`` of level k - 1. It is
    written once, with the chunk that closes it. Whoever reads takes the level that just suffices,
    and the ones below where it has no row yet.
    """

    __tablename__ = "metric_levels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    first_iteration: Mapped[int] = mapped_column(primary_key=True)
    last_iteration: Mapped[int]
    marks: Mapped[Marks] = mapped_column(Pairs)


def width(level: int) -> int:
    """Values for which a row of a level stands; of level 0, a chunk's."""
    found: int = CHUNK_VALUES * FAN_OUT_COUNT ** max(0, level - 1)
    return found
