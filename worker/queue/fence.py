"""Who may write about a job: whoever was given its present fence. Every write begins here."""

from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Table, bindparam, select, update
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.database.session import after_rollback
from app.hints.message import Counters
from app.hints.publisher import note
from app.services.operations import counters
from app.tables import HELD, Job, Task, TaskState

Claimed = TypeVar("Claimed", Job, Task)


class LeaseLost(Exception):
    """The job is no longer ours: cancelled, or given to another worker. Nothing was written."""


def held(table: type[Job] | type[Task]) -> ColumnElement[bool]:
    """Rows that a worker has."""
    return table.state.in_(HELD if table is Job else (TaskState.RUNNING,))


def owned_by(
    table: type[Job] | type[Task], row_id: ColumnElement[str] | str, fence: ColumnElement[int] | int
) -> list[ColumnElement[bool]]:
    """The row, if whoever was given this fence still has it."""
    return [table.id == row_id, table.fence == fence, held(table)]


class PlanChanged(Exception):
    """The course of the job was changed: what was computed beyond was not written and is dropped.
    What follows begins at the last durable block."""


def oldest_queued(session: Session, table: type[Claimed]) -> str | None:
    """The oldest queued row; those that other workers are just claiming are skipped."""
    return session.scalar(
        select(table.id)
        .where(table.state == "queued")
        .order_by(table.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def claim(
    session: Session,
    table: type[Claimed],
    candidate: str | None,
    worker: str,
    lease: float,
    **values: Any,
) -> Claimed | None:
    """Takes a queued row by one compare-and-set; ``None`` when it is not there.

    The fence rises, so that whoever held the row before can write no more.
    """
    if candidate is None:
        return None
    return session.scalar(
        update(table)
        .where(table.id == candidate, table.state == "queued")
        .values(
            state="running",
            fence=table.fence + 1,
            worker=worker,
            lease_expires_at=db_now(lease),
            **values,
        )
        .returning(table)
        .execution_options(populate_existing=True)
    )


@cache
def fenced_update(
    table: type[Job] | type[Task], names: tuple[str, ...], moments: frozenset[str], *, known: bool
) -> Executable:
    """The statement of ``write`` for values of these names, of which some are moments. Built once a
    process: that takes longer than to execute it."""
    values = {
        name: db_now(bindparam(f"new_{name}")) if name in moments else bindparam(f"new_{name}")
        for name in names
    }
    mine = owned_by(table, bindparam("mine"), bindparam("fenced"))
    if known:
        mine.append(Job.interventions == bindparam("course"))
    rows = table.__table__
    assert isinstance(rows, Table)
    return update(rows).where(*mine).values(**values).returning(table.state)


def write(session: Session, claimed: Job | Task, course: int | None = None, **values: Any) -> str:
    """Updates a row we hold, or raises ``Lost``; first in every transaction of a worker. Returns
    its state, which others may have changed. Whoever watches the job is told of new losses.

    ``course``: the interventions that are known of a job; ``Intervened`` when there are more. What
    is refused is counted, in another transaction: this one takes no effect.

    An UPDATE, not a SELECT: only a row that this transaction has locked proves that nobody takes it
    before the commit.
    """
    table = type(claimed)
    moments = frozenset(name for name, value in values.items() if isinstance(value, db_now))
    statement = fenced_update(table, tuple(values), moments, known=course is not None)
    given = {
        f"new_{name}": value.plus if isinstance(value, db_now) else value
        for name, value in values.items()
    }
    given |= {"mine": claimed.id, "fenced": claimed.fence}
    if course is not None:
        given["course"] = course
    state: str | None = session.connection().execute(statement, given).scalar()
    if state is not None:
        if table is Job and "iteration" in values:
            note(session, claimed.id, Counters(iteration=values["iteration"]))
        return state
    mine = owned_by(table, claimed.id, claimed.fence)
    if course is not None and session.scalar(select(table.id).where(*mine)):
        raise PlanChanged
    refused = {(counters.REFUSED, table.__name__.lower()): 1}
    after_rollback(session, lambda another: counters.add(another, refused))
    raise LeaseLost(f"fence {claimed.fence} of {claimed.id} is not valid any more")
