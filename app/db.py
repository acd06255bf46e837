"""The database: one engine a process, sessions that are transactions, a tenant in every query.

SQLite and PostgreSQL behave alike through this module: both have a clock, both serialise writers
who claim work.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import (
    BindParameter,
    DateTime,
    Dialect,
    Engine,
    Executable,
    ForeignKey,
    MetaData,
    create_engine,
    event,
    exc,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    UOWTransaction,
    mapped_column,
    with_loader_criteria,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from app import postgres

log = structlog.get_logger()

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Utc(TypeDecorator[datetime]):
    """A moment, always in UTC: SQLite keeps text without a zone, PostgreSQL answers in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The same moment in UTC; one without a zone would be a guess."""
        assert value is None or value.tzinfo is not None, "a time without its zone"
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Says that what comes back is UTC, or makes it so."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class clock(FunctionElement[datetime]):  # noqa: N801 -- reads as the SQL function it is
    """Now, by the database's own clock, plus so many seconds.

    Not ``now()``, which stands still within a transaction: a lease must be judged by the moment.
    """

    type = Utc()
    inherit_cache = True

    def __init__(self, plus: float | BindParameter[float] = 0.0) -> None:
        # A literal in the statement's text would defeat the statement cache.
        super().__init__(plus)
        self.plus = plus


@compiles(clock, "postgresql")
def clock_on_postgresql(element: clock, compiler: SQLCompiler, **kw: Any) -> str:
    """clock_timestamp() moves on within a transaction."""
    plus = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {plus}))"


@compiles(clock, "sqlite")
def clock_on_sqlite(element: clock, compiler: SQLCompiler, **kw: Any) -> str:
    """The format in which SQLAlchemy stores times, so that text compares like time."""
    plus = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({plus}) || ' seconds')"


WRITING: dict[str, Any] = {"write": True}
READING: dict[str, dict[str, Any]] = {
    "sqlite": {"write": False},  # a reader has its snapshot anyway
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
"""How transactions begin."""

AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
"""The database does not answer, or (the last) every connection to it is in use. Whether a COMMIT
that failed so took effect is unknown."""

Look = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction that only reads. Whoever is given one closes it before the work that follows
on what was read."""


class Base(DeclarativeBase):
    """All tables; constraints are named by one rule, so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMES)


class TenantOwned:
    """A row of one tenant: filled in and filtered by the session, in this module only."""

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)


class Database:
    """Where sessions come from; ``known`` is what each of them knows (``session.info``)."""

    def __init__(self, url: str, **known: Any) -> None:
        self.engine = make_engine(url)
        self.reading = READING[self.engine.dialect.name]
        self.known = known

    @contextmanager
    def session(self, tenant_id: str | None = None, *, write: bool = True) -> Iterator[Session]:
        """One transaction: commits at the end, rolls back on an exception.

        With a tenant, every query sees that tenant's rows alone; without, all (for the service's
        own work). One that only reads sees one moment throughout.

        Calls registered with ``after_commit`` run once it is durable; those registered with
        ``after_rollback`` when it never will be.
        """
        engine = self.engine.execution_options(**(WRITING if write else self.reading))
        with Session(engine, expire_on_commit=False, info=dict(self.known)) as session:
            if tenant_id is not None:
                session.info["tenant_id"] = tenant_id
            try:
                with session.begin():
                    yield session
            except BaseException:
                self.speak_of_failure(session)
                raise
            for call in session.info.get("after_commit", ()):
                try:
                    call()
                except Exception:
                    # What was asked for is durable: a failure to tell somebody is not its failure.
                    log.exception("a call after the commit failed")

    def speak_of_failure(self, rolled_back: Session) -> None:
        """What a transaction wanted said should it fail, in another one."""
        for call in rolled_back.info.get("after_rollback", ()):
            try:
                with self.session() as session:
                    call(session)
            except Exception:
                # The failure at hand is the one that the caller has to hear of.
                log.exception("a call after the rollback failed")

    @property
    def file(self) -> Path | None:
        """Where it is, if it is SQLite's."""
        url = self.engine.url
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    def dispose(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def insert(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """INSERT in the database's own dialect, for ``ON CONFLICT``."""
    return insert_on(session.get_bind().dialect.name, table)


def insert_on(dialect: str, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """The same, where the statement outlives a session."""
    if dialect == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def put(session: Session, how: Callable[[str], Executable], rows: list[dict[str, Any]]) -> None:
    """Rows as parameters of one statement, which ``how`` makes for a dialect once a process: to
    make it takes as long as to execute it."""
    if rows:
        session.connection().execute(how(session.get_bind().dialect.name), rows)


def after_commit(session: Session, call: Callable[[], object]) -> None:
    """Runs ``call`` when the transaction has become durable; never when it has not."""
    session.info.setdefault("after_commit", []).append(call)


def after_rollback(session: Session, call: Callable[[Session], object]) -> None:
    """Runs ``call`` in a transaction of its own when this one was rolled back."""
    session.info.setdefault("after_rollback", []).append(call)


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


@event.listens_for(Session, "do_orm_execute")
def only_own_rows(state: ORMExecuteState) -> None:
    """Adds the tenant to every query, update and delete of a tenant's session."""
    tenant_id = state.session.info.get("tenant_id")
    if tenant_id is not None and not state.is_column_load and not state.is_relationship_load:
        state.statement = state.statement.options(
            with_loader_criteria(
                TenantOwned, lambda table: table.tenant_id == tenant_id, include_aliases=True
            )
        )


@event.listens_for(Session, "before_flush")
def own_written_rows(session: Session, context: UOWTransaction, instances: object) -> None:
    """What a tenant's session writes is that tenant's."""
    tenant_id = session.info.get("tenant_id")
    for row in (*session.new, *session.dirty):
        if isinstance(row, TenantOwned) and tenant_id is not None:
            assert row.tenant_id in (None, tenant_id), "a row of another tenant"
            row.tenant_id = tenant_id
