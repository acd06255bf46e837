"""Counters never fall and lose nothing, whoever counts and whoever dies."""

import pytest
from sqlalchemy import delete, select

from app.database.session import Database, after_rollback
from app.services.operations import counters
from app.services.operations.counters import ITERATIONS, LOSSES, REFUSED
from app.tables import Counter, Worker


def value(rows: Database, name: str = ITERATIONS.name, label: str = "cpu") -> int:
    with rows.session(write=False) as session:
        return counters.read(session).get((name, label), 0)


def shards(rows: Database) -> set[str]:
    with rows.session(write=False) as session:
        return set(session.scalars(select(Counter.shard)))


@pytest.fixture(autouse=True)
def nothing_counted(rows: Database) -> None:
    """The database is shared with other tests."""
    with rows.session() as session:
        session.execute(delete(Counter))
        session.execute(delete(Worker))


@pytest.fixture
def worker(rows: Database) -> str:
    """A worker that is there."""
    with rows.session() as session:
        session.add(
            Worker(
                id="wrk_here", supervisor="sup", place="here", pid=1, pool="training", device="cpu"
            )
        )
    return "wrk_here"


def count(rows: Database, by: int, shard: str = "") -> None:
    with rows.session() as session:
        counters.add(session, {(ITERATIONS, "cpu"): by, (LOSSES, "cpu"): by}, shard)


def test_what_many_count_is_added_up(rows: Database, worker: str) -> None:
    for by, shard in ((5, worker), (7, worker), (1, "wrk_gone"), (2, "")):
        count(rows, by, shard)
    assert value(rows) == 15
    assert value(rows, LOSSES.name) == 15


def test_folding_changes_no_sum_and_leaves_the_living_their_shard(
    rows: Database, worker: str
) -> None:
    for by, shard in ((5, worker), (7, "wrk_gone"), (1, "wrk_gone_too"), (2, "")):
        count(rows, by, shard)
    for _ in range(2):
        with rows.session() as session:
            counters.fold(session)
        assert (value(rows), shards(rows)) == (15, {worker, ""})
    count(rows, 10, "wrk_gone")  # it was only silent
    assert value(rows) == 25


def test_what_is_rolled_back_is_not_counted_but_a_failure_can_be(rows: Database) -> None:
    def fail() -> None:
        with rows.session() as session:
            counters.add(session, {(ITERATIONS, "cpu"): 3})
            after_rollback(session, lambda s: counters.add(s, {(REFUSED, "job"): 1}))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (value(rows), value(rows, REFUSED.name, "job")) == (0, 1)


def test_what_is_kept_for_a_failure_is_not_done_without_one(rows: Database) -> None:
    with rows.session() as session:
        after_rollback(session, lambda s: counters.add(s, {(REFUSED, "job"): 1}))
    assert value(rows, REFUSED.name, "job") == 0


def test_a_label_outside_its_closed_set_is_a_mistake_of_ours(rows: Database) -> None:
    with pytest.raises(AssertionError), rows.session() as session:
        counters.add(session, {(ITERATIONS, "job_1"): 1})
