"""Makes the engine of either database, with what each needs."""

from typing import Any

from sqlalchemy import (
    Engine,
    create_engine,
    event,
)
from sqlalchemy.engine import Connection

from app.database import postgres

CONNECTIONS: dict[str, Any] = {"pool_size": 10, "max_overflow": 20, "pool_timeout": 10}
"""Of a process, at most 30; seconds to wait for one."""


def make_engine(url: str, *, patient: bool = False) -> Engine:
    """An engine for SQLite or PostgreSQL, as this service uses them.

    ``patient``: a statement may take any time, as those that change the schema do.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": 10}, **CONNECTIONS)
        event.listen(engine, "connect", configure_sqlite)
        event.listen(engine, "begin", begin_sqlite)
        return engine
    # Pre-ping: after a restart of the server the first request gets a fresh connection, no error.
    engine = create_engine(url, pool_pre_ping=True, **CONNECTIONS)
    if not patient:
        postgres.impatient(engine)
    return engine


def configure_sqlite(connection: Any, record: object) -> None:
    """Durable on commit, readers beside a writer, no transaction but ours."""
    connection.isolation_level = None  # the driver's own BEGIN would come too late
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: upgrading a reader's snapshot later would fail."""
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
