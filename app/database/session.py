"""The database: one engine a process, sessions that are transactions, a tenant in every query.

SQLite and PostgreSQL behave alike through this module: both have a clock, both serialise writers
who claim work.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import (
    event,
    exc,
)
from sqlalchemy.orm import (
    ORMExecuteState,
    Session,
    UOWTransaction,
    with_loader_criteria,
)

from app.database.base import TenantOwned
from app.database.engine import make_engine

log = structlog.get_logger()


WRITING: dict[str, Any] = {"write": True}


READING: dict[str, dict[str, Any]] = {
    "sqlite": {"write": False},  # a reader has its snapshot anyway
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
"""How transactions begin."""


DATABASE_UNAVAILABLE = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
"""The database does not answer, or (the last) every connection to it is in use. Whether a COMMIT
that failed so took effect is unknown."""


OpenReadSession = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction that only reads. Whoever is given one closes it before the work that follows
on what was read."""


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


def after_commit(session: Session, call: Callable[[], object]) -> None:
    """Runs ``call`` when the transaction has become durable; never when it has not."""
    session.info.setdefault("after_commit", []).append(call)


def after_rollback(session: Session, call: Callable[[Session], object]) -> None:
    """Runs ``call`` in a transaction of its own when this one was rolled back."""
    session.info.setdefault("after_rollback", []).append(call)


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
