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
from app.services import metrics
from app.services.metrics import Selection
from app.services.points import EMPTY, Points, joined
from app.tables import Event, Job
from training.spec.mistakes import Mistake

STRETCH = 4096
"""Losses that are told in one piece, at most."""
ENTRIES = 100
"""Entries that are told at a time, at most."""


class Place(NamedTuple):
    """How much of the story was told: so many entries of the log, and numbers of losses."""

    entries: int
    losses: int

    @property
    def number(self) -> int:
        """The number of what was told last."""
        return self.entries + self.losses


class Stretch(NamedTuple):
    """New points of each series that has any, up to the place where the story then is."""

    place: Place
    series: dict[str, Points]


class Entry(NamedTuple):
    """An entry of the log, and the place where the story then is."""

    place: Place
    event: Event


class Chapter(NamedTuple):
    """What comes next; ``whole``: there was no more when the job was looked at."""

    parts: list[Stretch | Entry]
    place: Place
    whole: bool


def place_of(session: Session, job: Job, number: int, pointer: str) -> Place:
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
    return Place(entries, number - entries)


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


def chapter(session: Session, job: Job, place: Place) -> Chapter:
    """What the job tells from a place on.

    The job was read before, so what is read here is not older: it is cut to what the job's row
    says, which is the story to some moment, without a gap.
    """
    there = log(session, job.id, place.number, ENTRIES)[: job.events - place.entries]
    caught_up = place.entries + len(there) == job.events
    # Where each entry stands: so many losses come before it.
    ends = [event.sequence - k for k, event in enumerate(there, place.entries + 1)]
    last = max([place.losses, *ends, *([job.iteration] if caught_up else [])])
    until = min(last, place.losses + STRETCH)
    found = measured(session, job, place.losses, until)
    parts: list[Stretch | Entry] = []
    now = place
    for event, end in zip(there, ends, strict=True):
        if end > until:
            break
        parts += stretches(found, now, end, job.iteration)
        now = Place(now.entries + 1, end)
        parts.append(Entry(now, event))
    parts += stretches(found, now, until, job.iteration)
    now = Place(now.entries, until)
    return Chapter(parts, now, caught_up and now.entries == job.events and until == last)


def measured(session: Session, job: Job, first: int, end: int) -> dict[str, Points]:
    """All series from iteration ``first`` to before ``end``."""
    if first >= end:
        return {}
    selection = Selection(first - 1, end)
    return {
        name: joined([EMPTY, *metrics.stretches(session, job.id, name, selection)])
        for name in job.series
    }


def stretches(found: dict[str, Points], place: Place, end: int, recorded: int) -> Iterator[Stretch]:
    """What was measured from a place on, before iteration ``end``: the losses, and by itself what
    was measured after the last of them."""
    for first, last in ((place.losses, min(end, recorded)), (max(place.losses, recorded), end)):
        parts = {name: points.between(first - 1, last) for name, points in found.items()}
        series = {name: points for name, points in parts.items() if len(points.iterations)}
        if series:
            yield Stretch(Place(place.entries, last), series)
