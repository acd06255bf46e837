"""Connections to PostgreSQL that do not wait for ever, and do not make others wait.

A server that was stopped, or a network that carries nothing any more, is silent: without a limit of
our own whoever asked would never hear that there is no answer. And a process that stands still
within a transaction keeps its locks: the server ends the session for it.
"""

import time
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg.abc import PQGen
from sqlalchemy import Dialect, Engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
log = structlog.get_logger()

STATEMENT_SECONDS = 10.0
"""Seconds that a statement may take, the wait for locks included."""
CONNECT_SECONDS = 3
"""Seconds until a connection is there."""
IDLE_SECONDS = 15
"""Seconds that the server waits for the next statement of a transaction: less than a lease, so that
what a process holds that stands still is free when its jobs are given to another."""
NAME = "fallline"
"""By which sessions that may be ended are known."""
STILL = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = :name AND backend_xid IS NOT NULL AND wait_event_type = 'Client'"
    " AND state_change < clock_timestamp() - make_interval(secs => :idle)"
)


class Silent(psycopg.OperationalError):
    """No answer came in time: whether the statement took effect is unknown."""


class Connection(psycopg.Connection[Any]):
    """One that gives up."""

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        """Every exchange with the server goes through here. What is given up is closed, for an
        answer that comes later would be taken for that to the next question."""
        try:
            return super().wait(until(time.monotonic() + STATEMENT_SECONDS, gen), *args, **options)
        except Silent:
            self.close()
            raise


def until(deadline: float, exchange: PQGen[T]) -> PQGen[T]:
    """An exchange that raises ``Silent`` when the time is up; psycopg wakes it now and then."""
    try:
        waits_for = next(exchange)
        while True:
            ready = yield waits_for
            if not ready and time.monotonic() > deadline:
                raise Silent(f"the database has not answered for {STATEMENT_SECONDS:g} s")
            waits_for = exchange.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


def impatient(engine: Engine) -> None:
    """Makes an engine open such connections."""
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", report_unavailable, retval=True)


def connect(
    dialect: Dialect, entry: ConnectionPoolEntry, args: list[Any], options: dict[str, Any]
) -> Connection:
    """A connection with our limits; those in the URL count more."""
    ours = f"-c idle_in_transaction_session_timeout={IDLE_SECONDS}s"
    theirs = options.get("options", "")
    limits: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": NAME}
    return Connection.connect(*args, **limits | options | {"options": f"{ours} {theirs}"})


def end_stuck_sessions(session: Session) -> int:
    """Ends sessions in the middle of a transaction whose client has said nothing for ``IDLE``.

    The server does that by itself only between two whole exchanges. A client that stands still
    within one (a pipeline that was not synced, a message sent in part) has no limit there: neither
    ``idle_in_transaction_session_timeout`` nor ``statement_timeout`` counts. Returns how many.
    """
    ended = session.execute(STILL, {"name": NAME, "idle": IDLE_SECONDS}).all()
    if ended:
        log.error("sessions stood still within a transaction, ended", sessions=len(ended))
    return len(ended)


def report_unavailable(context: ExceptionContext) -> BaseException | None:
    """A session that the server ended is an operational error, whatever its class in SQL: a new
    one will do."""
    error = context.sqlalchemy_exception
    if not context.is_disconnect or isinstance(error, OperationalError):
        return None
    if not isinstance(error, DBAPIError):
        return None
    cause = context.original_exception
    assert isinstance(cause, Exception)
    return OperationalError(context.statement, error.params, cause, connection_invalidated=True)
