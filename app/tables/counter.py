"""What has happened so often, for the operator."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base


class Counter(Base):
    """One addend of a counter that never falls: its value is the sum over its shards.

    Whoever counts in every transaction (a worker) has a shard of its own, so that nobody waits for
    another's lock; ``""`` is everybody's.
    """

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
