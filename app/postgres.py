"""Connections to PostgreSQL that do not wait for ever, and do not make others wait.

A server that was stopped, or a network that carries nothing any more, is silent: without a limit of
our own whoever asked would never hear that there is no answer. And a process that stands still
within a transaction keeps its locks: the server ends the session for it.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a statement may take, the wait for locks included."""
CONNECT = 3
"""Seconds until a connection is there."""
IDLE = 15
"""Seconds that the server waits for the next statement of a transaction: less than a lease, so that
what a process holds that stands still is free when its jobs are given to another."""


class Silent(psycopg.OperationalError):
    """No answer came in time: whether the statement took effect is unknown."""


class Connection(psycopg.Connection[Any]):
    """One that gives up."""

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        """Every exchange with the server goes through here. What is given up is closed, for an
        answer that comes later would be taken for that to the next question."""
        try:
            return super().wait(until(time.monotonic() + PATIENCE, gen), *args, **options)
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
                raise Silent(f"the database has not answered for {PATIENCE:g} s")
            waits_for = exchange.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


def impatient(engine: Engine) -> None:
    """Makes an engine open such connections."""
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", say_that_it_is_away, retval=True)


def connect(
    dialect: Dialect, entry: ConnectionPoolEntry, args: list[Any], options: dict[str, Any]
) -> Connection:
    """A connection with our limits; those in the URL count more."""
    ours = f"-c idle_in_transaction_session_timeout={IDLE}s"
    theirs = options.get("options", "")
    limits = {"connect_timeout": CONNECT} | options | {"options": f"{ours} {theirs}"}
    return Connection.connect(*args, **limits)


def say_that_it_is_away(context: ExceptionContext) -> BaseException | None:
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
