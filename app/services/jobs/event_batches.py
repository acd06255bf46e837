"""All that a job has to tell, in order: its losses and the entries of its log.

Everything has a number, from 1 on without a gap. An entry of the log that came as the k-th, when n
losses were durable, has the number k + n; the loss of iteration i, when k entries came before it,
has i + 1 + k. So whoever has heard everything up to a number is told the rest, by any process, and
needs to be remembered by none. What was measured at iteration n goes with the loss of iteration n;
after the last update there is no loss but may be a measurement, and it has the number that is left
free before the last entry.
"""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.services.metrics import reader
from app.services.metrics.points import EMPTY, Points, joined
from app.services.metrics.reader import Selection
from app.tables import Event, Job
from training.spec.mistakes import Mistake

MAX_FRAME_VALUES = 4096
"""Losses that are told in one piece, at most."""
MAX_ENTRY_COUNT = 100
"""Entries that are told at a time, at most."""


class Cursor(NamedTuple):
    """How much of the story was told: so many entries of the log, and numbers of losses."""

    entries: int
    losses: int

    @property
    def number(self) -> int:
        """The number of what was told last."""
        return self.entries + self.losses


class MetricsFrame(NamedTuple):
    """New points of each series that has any, up to the place where the story then is."""

    place: Cursor
    series: dict[str, Points]


class LogFrame(NamedTuple):
    """An entry of the log, and the place where the story then is."""

    place: Cursor
    event: Event


class EventBatch(NamedTuple):
    """What comes next; ``whole``: there was no more when the job was looked at."""

    parts: list[MetricsFrame | LogFrame]
    place: Cursor
    whole: bool


def cursor_at(session: Session, job: Job, number: int, pointer: str) -> Cursor:
    """The place after a number; raises ``Invalid`` when the job has not told as much."""
    entries, newest = session.execute(
        select(
            func.count().filter(Event.sequence <= number),
            func.coalesce(func.max(Event.sequence), 0),
        ).where(Event.job_id == job.id)
    ).one()
    if number > max(newest, job.events + job.iteration):
        sentence = f"the job has not told anything with the number {number} yet"
        raise Invalid("the place is unknown", [Mistake(pointer, "out_of_range", sentence)])
    return Cursor(entries, number - entries)


def log(session: Session, job_id: str, after: int, limit: int) -> list[Event]:
    """The entries of a job's log past a number, the oldest first."""
    return list(
        session.scalars(
            select(Event)
            .where(Event.job_id == job_id, Event.sequence > after)
            .order_by(Event.sequence)
            .limit(limit)
        )
    )


def next_events(session: Session, job: Job, place: Cursor) -> EventBatch:
    """What the job tells from a place on.

    The job was read before, so what is read here is not older: it is cut to what the job's row
    says, which is the story to some moment, without a gap.
    """
    there = log(session, job.id, place.number, MAX_ENTRY_COUNT)[: job.events - place.entries]
    caught_up = place.entries + len(there) == job.events
    # Where each entry stands: so many losses come before it.
    ends = [event.sequence - k for k, event in enumerate(there, place.entries + 1)]
    last = max([place.losses, *ends, *([job.iteration] if caught_up else [])])
    until = min(last, place.losses + MAX_FRAME_VALUES)
    found = measured(session, job, place.losses, until)
    parts: list[MetricsFrame | LogFrame] = []
    now = place
    for event, end in zip(there, ends, strict=True):
        if end > until:
            break
        parts += stretches(found, now, end, job.iteration)
        now = Cursor(now.entries + 1, end)
        parts.append(LogFrame(now, event))
    parts += stretches(found, now, until, job.iteration)
    now = Cursor(now.entries, until)
    return EventBatch(parts, now, caught_up and now.entries == job.events and until == last)


def measured(session: Session, job: Job, first: int, end: int) -> dict[str, Points]:
    """All series from iteration ``first`` to before ``end``."""
    if first >= end:
        return {}
    selection = Selection(first - 1, end)
    return {
        name: joined([EMPTY, *reader.stretches(session, job.id, name, selection)])
        for name in job.series
    }


def stretches(
    found: dict[str, Points], place: Cursor, end: int, recorded: int
) -> Iterator[MetricsFrame]:
    """What was measured from a place on, before iteration ``end``: the losses, and by itself what
    was measured after the last of them."""
    for first, last in ((place.losses, min(end, recorded)), (max(place.losses, recorded), end)):
        parts = {name: points.between(first - 1, last) for name, points in found.items()}
        series = {name: points for name, points in parts.items() if len(points.iterations)}
        if series:
            yield MetricsFrame(Cursor(place.entries, last), series)
