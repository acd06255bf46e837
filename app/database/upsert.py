"""INSERT … ON CONFLICT, and one statement for many rows, on either database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Executable,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import (
    Session,
)

from app.database.base import Base


def insert(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """INSERT in the database's own dialect, for ``ON CONFLICT``."""
    return insert_on(session.get_bind().dialect.name, table)


def insert_on(dialect: str, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """The same, where the statement outlives a session."""
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def execute_many(
    session: Session, how: Callable[[str], Executable], rows: list[dict[str, Any]]
) -> None:
    """Rows as parameters of one statement, which ``how`` makes for a dialect once a process: to
    make it takes as long as to execute it."""
    if rows:
        session.connection().execute(how(session.get_bind().dialect.name), rows)
