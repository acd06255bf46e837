"""Levels: any way to the same rows, and what is seen through them is what is there."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import delete, select

from app.database.session import Database
from app.services.forks.copy import copy_series
from app.services.metrics.reader import Selection, overview
from app.services.metrics.series_writer import SeriesWriter
from app.tables import Job, MetricChunk, MetricLevel, Tenant
from app.tables.metric import CHUNK_VALUES, FAN_OUT_COUNT, NODE_COUNT, width
from tests.app.database.test_session import new_job
from tests.series import record

Floats = NDArray[np.float32]


class Course(NamedTuple):
    """How a series came about: its values, the blocks they came in, and the breaks: past which
    share of all, whether the worker died or the job was forked, and how many values before the end
    of what was recorded it went on."""

    values: Floats
    origin: int
    stride: int
    blocks: list[int]
    breaks: list[tuple[float, str, int]]


@st.composite
def courses(draw: st.DrawFn) -> Course:
    """Some ten thousand values at most, with anything among them."""
    length = draw(
        st.integers(0, 2 * CHUNK_VALUES) | st.integers(5 * CHUNK_VALUES, 20 * CHUNK_VALUES)
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    noise = draw(st.sampled_from([0.0, 1.0]))
    values = (noise * rng.normal(size=length)).astype(np.float32)
    odd = st.sampled_from([math.nan, math.inf, -math.inf, 1e30, -1e30, -0.0])
    for at, value in draw(st.lists(st.tuples(st.integers(0, 2**20), odd), max_size=12)):
        if length:
            values[at % length] = value
    if draw(st.booleans()):
        values[length // 3 : length // 2] = draw(odd)
    kind = st.sampled_from(["died", "forked"])
    return Course(
        values,
        draw(st.integers(0, 9)),
        draw(st.integers(1, 7)),
        draw(st.lists(st.integers(300, 5000), min_size=1, max_size=6)),
        draw(st.lists(st.tuples(st.floats(0, 1), kind, st.integers(0, 3000)), max_size=4)),
    )


def recorded(rows: Database, course: Course) -> str:
    """Goes the course; the id of the job that has the whole series."""
    with rows.session() as session:
        session.execute(delete(Job))
        tenant = session.scalars(select(Tenant.id)).first()
        job = new_job(tenant_id=tenant)
        session.add(job)
    series, done, known, number = SeriesWriter("loss", course.origin, course.stride), 0, 0, 0
    breaks = sorted(course.breaks)
    while done < len(course.values):
        with rows.session() as session:
            new = course.values[done : done + course.blocks[number % len(course.blocks)]]
            at = course.origin + done * course.stride
            assert record(session, job, series, at, new)
        done += len(new)
        known = max(known, done)
        number += 1
        if breaks and done > breaks[0][0] * len(course.values):
            _, kind, back = breaks.pop(0)
            done = max(0, known - back)
            if kind == "forked":
                job, known = forked(rows, job, course, done), done
            series = SeriesWriter("loss", course.origin, course.stride)
            resume_at = course.origin + done * course.stride
            with rows.session(write=False) as session:
                series.load(session, job, resume_at)
    with rows.session() as session:
        session.get_one(Job, job.id).iteration = course.origin + known * course.stride
    return job.id


def forked(rows: Database, parent: Job, course: Course, done: int) -> Job:
    """A job that takes over so many values."""
    with rows.session() as session:
        iteration = course.origin + done * course.stride
        heir = new_job(tenant_id=parent.tenant_id, iteration=iteration)
        session.add(heir)
        session.flush()
        copy_series(session, parent, heir)
    return heir


def kept(part: list[tuple[int, float]]) -> set[int]:
    """The iterations that a part keeps, the slow way."""
    odd = (math.isnan, lambda v: v == math.inf, lambda v: v == -math.inf)
    found = {next((n for n, v in part if test(v)), -1) for test in odd} - {-1}
    finite = [(n, v) for n, v in part if math.isfinite(v)]
    if finite:
        found.add(min(finite, key=lambda point: (point[1], point[0]))[0])
        found.add(max(finite, key=lambda point: (point[1], -point[0]))[0])
    return found


def expected(course: Course) -> dict[tuple[int, int, int], set[int]]:
    """What each row of each level keeps, from all the values at once."""
    points = [(course.origin + i * course.stride, float(v)) for i, v in enumerate(course.values)]
    found, level = {}, 1
    while width(level) <= len(points):
        size = width(level) // NODE_COUNT
        for start in range(0, len(points) - width(level) + 1, width(level)):
            row = points[start : start + width(level)]
            parts = [row[i : i + size] for i in range(0, len(row), size)]
            there = set[int]().union(*map(kept, parts)) | {row[0][0], row[-1][0]}
            found[level, row[0][0], row[-1][0]] = there
        level += 1
    return found


def test_levels_do_not_depend_on_how_the_series_came_about(rows: Database) -> None:
    @settings(max_examples=30)
    @given(courses())
    def check(course: Course) -> None:
        job_id = recorded(rows, course)
        with rows.session(write=False) as session:
            table = MetricLevel
            found = session.scalars(select(table).where(table.job_id == job_id)).all()
        rows_ = {(r.level, r.first_iteration, r.last_iteration): r.marks for r in found}
        assert {key: set(marks["iteration"].tolist()) for key, marks in rows_.items()} == (
            expected(course)
        )
        for marks in rows_.values():
            there = course.values[(marks["iteration"] - course.origin) // course.stride]
            assert marks["value"].tobytes() == there.tobytes()

    check()


def test_what_is_seen_of_a_selection_is_what_is_there(rows: Database) -> None:
    @settings(max_examples=15)
    @given(courses(), st.data())
    def check(course: Course, data: st.DataObject) -> None:
        job_id = recorded(rows, course)
        with rows.session(write=False) as session:
            job = session.get_one(Job, job_id)
            for _ in range(6):
                end = job.iteration + 2 * course.stride
                after = data.draw(st.none() | st.integers(-1, end))
                before = data.draw(st.none() | st.integers(after or 0, end))
                most = data.draw(st.integers(1, 60) | st.integers(1, 3000))
                look_at(session, job, course, Selection(after, before), most)

    check()


def look_at(session: Any, job: Job, course: Course, selection: Selection, most: int) -> None:
    """Compares what is seen with all the points of a selection."""
    at = course.origin + course.stride * np.arange(len(course.values))
    low = -1 if selection.after is None else selection.after
    high = job.iteration + 1 if selection.before is None else selection.before
    there = (at > low) & (at < high)
    all_at, values = at[there], course.values[there]
    seen = overview(session, job, ["loss"], selection, most)
    points, limit = seen.series["loss"], max(most, 7)
    assert seen.counts == {"loss": len(values)}
    if len(values) <= limit:
        assert points.iterations.tolist() == all_at.tolist()
    assert len(points.iterations) <= limit
    assert (np.diff(points.iterations) > 0).all()
    found = np.searchsorted(all_at, points.iterations)
    assert (all_at[found] == points.iterations).all()
    assert points.values.astype(np.float32).tobytes() == values[found].tobytes()
    if len(values):
        assert (points.iterations[0], points.iterations[-1]) == (all_at[0], all_at[-1])
        nothing_is_lost(all_at, values, points.iterations, points.values, limit, high - low)


def nothing_is_lost(
    at: NDArray[np.int64],
    values: Floats,
    shown_at: NDArray[np.int64],
    shown: NDArray[np.floating],
    limit: int,
    length: int,
) -> None:
    """Each value lies between two that are shown, both in its bucket: no further away than a bucket
    is wide. Buckets keep two points, or five where values are not finite; each begins and ends with
    a part, which is a third of it at most."""
    odd = not np.isfinite(values).all()
    buckets = max(1, (limit - 2) // 5 - 1) if odd else (limit - 2) // 2
    reach = length / buckets * 4 / 3 + 1
    begin = np.searchsorted(shown_at, at - reach, side="left")
    end = np.searchsorted(shown_at, at + reach, side="right")
    for value, one, other in zip(values, begin, end, strict=True):
        near = shown[one:other]
        if np.isfinite(value):
            finite = near[np.isfinite(near)]
            assert finite.min() <= value <= finite.max()
        else:
            assert np.isnan(near).any() if np.isnan(value) else value in near


@pytest.mark.parametrize("levels", ["all", "none", "from the middle on"])
def test_a_look_costs_what_it_shows_where_there_are_levels(levels: str, rows: Database) -> None:
    length = 70 * CHUNK_VALUES + 5
    values = np.random.default_rng(0).normal(size=length).astype(np.float32)
    course = Course(values, 0, 1, [length], [])
    job_id = recorded(rows, course)
    with rows.session() as session:
        gone = delete(MetricLevel).where(MetricLevel.job_id == job_id)
        if levels != "all":
            where = [MetricLevel.first_iteration < length // 2] if levels != "none" else []
            session.execute(gone.where(*where))
    with rows.session(write=False) as session:
        job = session.get_one(Job, job_id)
        look_at(session, job, course, Selection(), 100)
        if levels == "all":
            assert chunks_read(rows, job_id) <= FAN_OUT_COUNT


def chunks_read(rows: Database, job_id: str) -> int:
    """Of how many chunks the values are fetched by a look at the whole series."""
    with rows.session() as session:
        job = session.get_one(Job, job_id)
        # A chunk that is not read may hold anything.
        where = MetricChunk.job_id == job_id
        for at in session.scalars(select(MetricChunk.first_iteration).where(where)).all():
            chunk = session.get_one(MetricChunk, (job_id, "loss", at))
            chunk.values = np.full(len(chunk.values), np.float32(7e20))
        session.flush()
        seen = overview(session, job, ["loss"], Selection(), 100).series["loss"]
    shown = seen.iterations[seen.values == np.float32(7e20)]
    return len({int(at) // CHUNK_VALUES for at in shown})


def test_a_worker_goes_on_where_there_were_no_levels(rows: Database) -> None:
    values = np.arange(9 * CHUNK_VALUES, dtype=np.float32)
    course = Course(values[: 6 * CHUNK_VALUES], 0, 1, [6 * CHUNK_VALUES], [])
    job_id = recorded(rows, course)
    with rows.session() as session:
        session.execute(delete(MetricLevel).where(MetricLevel.job_id == job_id))
    with rows.session() as session:
        job, series = session.get_one(Job, job_id), SeriesWriter("loss", 0, 1)
        series.load(session, job, 6 * CHUNK_VALUES)
        record(session, job, series, 6 * CHUNK_VALUES, values[6 * CHUNK_VALUES :])
        job.iteration = len(values)
        session.flush()
        table = MetricLevel
        found = session.execute(select(table.level, table.first_iteration)).all()
        assert sorted(tuple(row) for row in found) == [(1, n * CHUNK_VALUES) for n in (6, 7, 8)]
        look_at(session, job, course._replace(values=values), Selection(), 50)
