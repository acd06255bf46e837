"""The base of all tables, and times by the database's clock."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    DateTime,
    Dialect,
    ForeignKey,
    MetaData,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

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


class db_now(FunctionElement[datetime]):  # noqa: N801 -- reads as the SQL function it is
    """Now, by the database's own clock, plus so many seconds.

    Not ``now()``, which stands still within a transaction: a lease must be judged by the moment.
    """

    type = Utc()
    inherit_cache = True

    def __init__(self, plus: float | BindParameter[float] = 0.0) -> None:
        # A literal in the statement's text would defeat the statement cache.
        super().__init__(plus)
        self.plus = plus


@compiles(db_now, "postgresql")
def clock_on_postgresql(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    """clock_timestamp() moves on within a transaction."""
    plus = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {plus}))"


@compiles(db_now, "sqlite")
def clock_on_sqlite(element: db_now, compiler: SQLCompiler, **kw: Any) -> str:
    """The format in which SQLAlchemy stores times, so that text compares like time."""
    plus = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({plus}) || ' seconds')"


class Base(DeclarativeBase):
    """All tables; constraints are named by one rule, so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMES)


class TenantOwned:
    """A row of one tenant: filled in and filtered by the session, in this module only."""

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
