"""Counters that outlive the processes that count: rows, added to by the transactions they count.

What was rolled back has not been counted, and nothing that was counted is lost with a worker.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from sqlalchemy import Executable, delete, func, select
from sqlalchemy.orm import Session

from app.database.upsert import execute_many, insert_on
from app.tables import Counter, Worker


class Kind(NamedTuple):
    """A counter: its name, its label and every value that this can have, what it counts."""

    name: str
    label: str
    values: tuple[str, ...]
    help: str


DEVICES = ("cpu", "cuda")
CLAIMS = ("job", "task")
POOLS = ("training", "interactive")
CATEGORIES = (
    "specification",
    "data",
    "diverged",
    "resource",
    "timeout",
    "infrastructure",
    "internal",
)
"""Of a failed job's error."""

ITERATIONS = Kind(
    "iterations",
    "device",
    DEVICES,
    "Iterations that workers have computed, those repeated after a loss of a worker included.",
)
LOSSES = Kind("losses_written", "device", DEVICES, "Losses made durable, each iteration's once.")
REFUSED = Kind(
    "refused_writes",
    "kind",
    CLAIMS,
    "Writes of workers that no longer held what they wrote about: cancelled, or taken over.",
)
EXPIRED = Kind("lease_expiries", "kind", CLAIMS, "Claims taken back because their lease ran out.")
DROPPED = Kind(
    "messages_dropped", "pool", POOLS, "Messages in the broker that were no bells, thrown away."
)
FINISHED = Kind(
    "jobs_finished",
    "outcome",
    ("succeeded", "cancelled", *CATEGORIES),
    "Jobs that have ended: succeeded, cancelled, or the category of the error.",
)
KINDS = (ITERATIONS, LOSSES, REFUSED, EXPIRED, DROPPED, FINISHED)

Counts = Mapping[tuple[Kind, str], int]
"""How much to add, by counter and value of its label."""


def add(session: Session, counts: Counts, shard: str = "") -> None:
    """Adds within the transaction at hand. In one order everywhere, so that nobody deadlocks."""
    rows = [
        {"name": kind.name, "label": label, "shard": shard, "value": by}
        for (kind, label), by in sorted(counts.items())
        if by
    ]
    assert all(label in kind.values for kind, label in counts), "a label outside its closed set"
    execute_many(session, adding, rows)


@cache
def adding(dialect: str) -> Executable:
    """Rows, each added to the one that is there."""
    new = insert_on(dialect, Counter)
    return new.on_conflict_do_update(
        index_elements=["name", "label", "shard"],
        set_={"value": Counter.value + new.excluded.value},
    )


def fold(session: Session) -> None:
    """Adds up what workers that are gone had counted: a sum stays what it was, rows do not pile up.

    A worker that was only silent and counts again begins a new shard.
    """
    gone = session.execute(
        delete(Counter)
        .where(Counter.shard != "", Counter.shard.not_in(select(Worker.id)))
        .returning(Counter.name, Counter.label, Counter.value)
    ).all()
    sums: dict[tuple[str, str], int] = {}
    for name, label, value in gone:
        sums[name, label] = sums.get((name, label), 0) + value
    rows = [
        {"name": name, "label": label, "shard": "", "value": value}
        for (name, label), value in sorted(sums.items())
    ]
    execute_many(session, adding, rows)


def read(session: Session) -> dict[tuple[str, str], int]:
    """Every counter that has been added to, by name and label: one statement, so one moment."""
    query = select(Counter.name, Counter.label, func.sum(Counter.value))
    return {
        (name, label): int(value)
        for name, label, value in session.execute(query.group_by(Counter.name, Counter.label))
    }
