"""Who is there to work."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.tables import Worker

SILENCE_SECONDS = 15.0
"""Seconds without a sign of life after which a worker no longer counts as there."""


def present(session: Session, pool: str) -> bool:
    """Whether any warm worker of a pool was seen lately."""
    query = (
        select(Worker.id)
        .where(Worker.pool == pool, Worker.seen_at > db_now(-SILENCE_SECONDS))
        .limit(1)
    )
    return session.scalar(query) is not None


def devices(session: Session) -> frozenset[str]:
    """The kinds of device that training workers seen lately have."""
    query = select(Worker.device).where(
        Worker.pool == "training", Worker.seen_at > db_now(-SILENCE_SECONDS)
    )
    return frozenset(session.scalars(query))
