"""Lists in parts, newest first: ids are sortable by time."""

from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """A part of a list; ``next`` is what the following part begins after."""

    rows: list[T]
    next: str | None


def page(
    session: Session,
    query: Select[T],
    key: InstrumentedAttribute[Any],
    limit: int,
    after: str | None,
) -> Page[T]:
    """The first ``limit`` rows after ``after``, descending by ``key``."""
    query = query.order_by(key.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(key < after)
    rows = list(session.scalars(query))
    more = len(rows) > limit
    return Page(rows[:limit], getattr(rows[limit - 1], key.key) if more else None)
