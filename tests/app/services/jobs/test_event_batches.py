"""All that a job has to tell: numbered without a gap, from any place on, at any moment."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from app.database.session import Database
from app.errors import Invalid
from app.services.jobs import event_batches
from app.services.jobs.event_batches import (
    MAX_ENTRY_COUNT,
    MAX_FRAME_VALUES,
    Cursor,
    EventBatch,
    LogFrame,
)
from app.services.jobs.event_log import entry, record
from app.tables import Job, MetricChunk
from tests.app.database.test_session import Tenants, new_job

EVERY = 5
"""Validation is at every fifth iteration."""

Happenings = list[int]
"""What happens to a job one after the other: so many losses, or (0) an entry of its log."""

Told = list[tuple[int, str, Any]]
"""Number, name of the series or ``log``, iteration or the entry's data."""


def begin(rows: Database, tenant_id: str) -> None:
    with rows.session(tenant_id) as session:
        session.execute(delete(Job))
        session.add(new_job(id="job_a", series=["loss", "validation_loss"]))


def put(rows: Database, tenant_id: str, name: str, first: int, stride: int, count: int) -> None:
    """Points of a series whose values are their iterations."""
    at = first + stride * np.arange(count)
    with rows.session(tenant_id) as session:
        chunk = MetricChunk(job_id="job_a", series=name, first_iteration=first, stride=stride)
        chunk.values = at.astype(np.float32)
        session.add(chunk)


def happen(rows: Database, tenant_id: str, done: int, what: int) -> int:
    """One happening; answers how many losses there are then."""
    if what == 0:
        with rows.session(tenant_id) as session:
            record(session, "job_a", "note", {"at": done})
        return done
    put(rows, tenant_id, "loss", done, 1, what)
    first = max(EVERY, -(-done // EVERY) * EVERY)
    if first < done + what:
        put(rows, tenant_id, "validation_loss", first, EVERY, -(-(done + what - first) // EVERY))
    with rows.session(tenant_id) as session:
        session.execute(update(Job).values(iteration=done + what))
    return done + what


def end(rows: Database, tenant_id: str, done: int, *, measured: bool) -> None:
    """The last entry, after a last measurement where there is one."""
    if measured:
        put(rows, tenant_id, "validation_loss", done, EVERY, 1)
    with rows.session(tenant_id) as session:
        ended = update(Job).values(state="succeeded", events=Job.events + 1).returning(Job)
        job = session.scalars(ended.execution_options(populate_existing=True)).one()
        session.add(entry(job, "state", {"at": done}, last=True))


def expected(happenings: Happenings) -> Told:
    """All of it, by counting: every loss and every entry is one more."""
    told, number, done = Told(), 0, 0
    for what in happenings:
        if what == 0:
            number += 1
            told.append((number, "log", {"at": done}))
        for _ in range(what):
            number += 1
            told.append((number, "loss", done))
            if done and done % EVERY == 0:
                told.append((number, "validation_loss", done))
            done += 1
    return told


def heard(chapter: EventBatch, begin: Cursor) -> Told:
    """A chapter, point by point, after a look at what always holds."""
    told, place = Told(), begin
    for part in chapter.parts:
        assert part.place.number > place.number
        if isinstance(part, LogFrame):
            assert part.place.number == part.event.sequence
            told.append((part.event.sequence, "log", part.event.data))
        else:
            assert part.place.losses - place.losses <= MAX_FRAME_VALUES
            for name, points in part.series.items():
                assert points.iterations.tolist() == points.values.tolist()
                for n in points.iterations.tolist():
                    told.append((n + 1 + place.entries, name, n))
            assert max(number for number, _, _ in told) == part.place.number
        place = part.place
    assert chapter.place.number >= place.number
    return sorted(told, key=lambda what: (what[0], what[1]))


def listen(rows: Database, number: int) -> tuple[Told, int]:
    """All that is told past a number by now, and the number that is known then."""
    told = Told()
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        place = event_batches.cursor_at(session, job, number, "/after")
        assert place.number == number
        while True:
            chapter = event_batches.next_events(session, job, place)
            told += heard(chapter, place)
            place = chapter.place
            if chapter.whole:
                return told, place.number


HAPPENINGS = st.lists(st.just(0) | st.integers(1, 12), max_size=8)


def test_from_any_number_on_the_rest_is_told_once(rows: Database, tenants: Tenants) -> None:
    @settings(max_examples=15)
    @given(HAPPENINGS, st.booleans())
    def check(happenings: Happenings, measured: bool) -> None:
        begin(rows, tenants[0])
        done = 0
        for what in happenings:
            done = happen(rows, tenants[0], done, what)
        end(rows, tenants[0], done, measured=measured)
        whole = expected(happenings)
        last = whole[-1][0] if whole else 0
        if measured:
            whole.append((last + 1, "validation_loss", done))
        whole.append((last + 2, "log", {"at": done}))
        for number in range(last + 3):
            rest = [what for what in whole if what[0] > number]
            assert listen(rows, number) == (rest, last + 2)

    check()


def test_whenever_somebody_listens_all_pieces_are_the_whole(
    rows: Database, tenants: Tenants
) -> None:
    @settings(max_examples=15)
    @given(st.lists(st.tuples(st.just(0) | st.integers(1, 12), st.booleans()), max_size=8))
    def check(course: list[tuple[int, bool]]) -> None:
        begin(rows, tenants[0])
        told, number, done = Told(), 0, 0
        for what, listens in course:
            done = happen(rows, tenants[0], done, what)
            if listens:
                new, number = listen(rows, number)
                told += new
        new, number = listen(rows, number)
        assert told + new == expected([what for what, _ in course])
        assert listen(rows, number) == ([], number)

    check()


def test_what_is_long_is_told_in_pieces(rows: Database, tenants: Tenants) -> None:
    begin(rows, tenants[0])
    done, course = (
        0,
        [MAX_FRAME_VALUES + 7, *([0] * (MAX_ENTRY_COUNT + 3)), 5, 2 * MAX_FRAME_VALUES],
    )
    for what in course:
        done = happen(rows, tenants[0], done, what)
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        first = event_batches.next_events(session, job, Cursor(0, 0))
        assert (first.whole, first.place) == (False, Cursor(0, MAX_FRAME_VALUES))
        second = event_batches.next_events(session, job, first.place)
        assert (second.whole, second.place) == (
            False,
            Cursor(MAX_ENTRY_COUNT, MAX_FRAME_VALUES + 7),
        )
    assert listen(rows, 0)[0] == expected(course)


def test_what_was_not_told_cannot_be_known(rows: Database, tenants: Tenants) -> None:
    begin(rows, tenants[0])
    happen(rows, tenants[0], happen(rows, tenants[0], 0, 0), 3)
    with rows.session(write=False) as session:
        job = session.scalars(select(Job)).one()
        assert event_batches.cursor_at(session, job, 4, "/x") == Cursor(1, 3)
        with pytest.raises(Invalid) as refused:
            event_batches.cursor_at(session, job, 5, "/x")
    assert refused.value.errors[0].pointer == "/x"


def test_a_fork_that_begins_later_tells_what_it_has(rows: Database, tenants: Tenants) -> None:
    begin(rows, tenants[0])
    with rows.session(tenants[0]) as session:
        session.execute(update(Job).values(iteration=20))
        record(session, "job_a", "note", {"at": 20})
    put(rows, tenants[0], "loss", 20, 1, 3)
    with rows.session(tenants[0]) as session:
        session.execute(update(Job).values(iteration=23))
    told, number = listen(rows, 0)
    assert [what[:2] for what in told] == [(21, "log"), *((n, "loss") for n in (22, 23, 24))]
    assert number == 24


def test_what_happened_after_the_job_was_read_is_told_the_next_time(
    rows: Database, tenants: Tenants
) -> None:
    begin(rows, tenants[0])
    done = happen(rows, tenants[0], happen(rows, tenants[0], 0, 0), 3)
    with rows.session(write=False) as session:
        before = session.scalars(select(Job)).one()
    for what in (0, 9, 0):
        done = happen(rows, tenants[0], done, what)
    with rows.session(write=False) as session:
        then = event_batches.next_events(session, before, Cursor(0, 0))
    assert heard(then, Cursor(0, 0)) == expected([0, 3])
    assert (then.place, then.whole) == (Cursor(1, 3), True)
    assert listen(rows, then.place.number)[0] == expected([0, 3, 0, 9, 0])[4:]
