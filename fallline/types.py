"""The shapes of what the service answers.

Each is read from a JSON document by the fields it knows; what a later service adds is let pass, and
`raw` holds the whole document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from fallline.errors import FalllineError
from fallline.jsonable import Json, number, numbers

T = TypeVar("T")

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Progress:
    """How far a job is; `iteration` counts the iterations that are recorded."""

    iteration: int
    iterations: int
    epoch: float
    fraction: float
    eta_seconds: float | None = None


@dataclass(frozen=True)
class QueuePlace:
    """Why a job waits, and its place in the queue, from 1."""

    reason: str
    position: int


@dataclass(frozen=True)
class ModelRef:
    """The model that a succeeded job left."""

    name: str
    version: int
    id: str


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    category: str
    code: str
    message: str
    retryable: bool = False
    iteration: int | None = None


@dataclass(frozen=True)
class ForkOf:
    """The job that a forked one was, up to `iteration`."""

    job: str
    iteration: int


@dataclass(frozen=True)
class Intervention:
    """A change of a job's course; `iteration` is the first one it applies to."""

    iteration: int
    changes: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list, newest first; `next` is the `after` of the page behind it."""

    data: Sequence[T]
    has_more: bool
    next: str | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@dataclass
class Points:
    """Some points of one series, in the order of their iterations; the two lists are as long."""

    iterations: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def extend(self, more: Points) -> None:
        """Put the points of `more` behind these."""
        self.iterations += more.iterations
        self.values += more.values

    def past(self, iteration: int) -> Points:
        """The points that come after an iteration."""
        kept = [i for i, n in enumerate(self.iterations) if n > iteration]
        return Points([self.iterations[i] for i in kept], [self.values[i] for i in kept])


@dataclass(frozen=True)
class Metrics:
    """One page of a job's series; `next_after` is None on the last page that exists so far.

    `sampled`: whether points are left out, these being the extremes of buckets; `count`: how many
    there are without that, by series.
    """

    series: dict[str, Points]
    state: str
    complete: bool
    next_after: int | None = None
    sampled: bool = False
    count: Mapping[str, int] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: `type` says what, `sequence` is its number in all that the
    job tells, `iteration` how many losses were recorded then.

    An event of type `metrics` has new points by series; `end` is the last of a job that has ended.
    """

    type: str
    sequence: int | None = None
    iteration: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    points: Mapping[str, Points] = field(default_factory=dict)
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Prediction:
    """`label` and `probabilities` from a classifier, `value` from a regression."""

    label: Any = None
    probabilities: Sequence[float] | None = None
    value: Sequence[float] | None = None
    logits: Sequence[float] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Predictions:
    """What a model says about each input, in their order."""

    model: str
    version: int
    predictions: Sequence[Prediction]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __len__(self) -> int:
        return len(self.predictions)


def known(kind: type, document: Json) -> dict[str, Any]:
    """The members of a document that are fields of a dataclass, and the document as `raw`."""
    if not isinstance(document, dict):
        raise FalllineError(
            f"The answer is no Fallline's: an object was expected, not {document!r}."
        )
    names = {f.name for f in fields(kind)}
    given = {name: value for name, value in document.items() if name in names}
    return given | ({"raw": document} if "raw" in names else {})


def made(kind: Callable[..., T], given: Mapping[str, Any]) -> T:
    """An object of its fields; one that lacks some comes from no Fallline."""
    try:
        return kind(**given)
    except TypeError as error:
        raise FalllineError(f"The answer is no Fallline's: {error}.") from error


def part(document: Json, name: str) -> Any:
    """A member that every answer of its kind has; one without it comes from no Fallline."""
    if not isinstance(document, dict) or name not in document:
        raise FalllineError(f"The answer is no Fallline's: it has no {name!r}.")
    return document[name]


def read(kind: type[T], document: Json, **values: Any) -> T:
    """A document as a dataclass; `values` stand for its own where they need more than a copy."""
    return made(kind, known(kind, document) | values)


def maybe(kind: type[T], document: Json) -> T | None:
    """A document as a dataclass, or None for null."""
    return None if document is None else read(kind, document)


def time_of(text: str | None) -> datetime | None:
    """A time of RFC 3339."""
    return None if text is None else datetime.fromisoformat(text)


def page_of(document: Json, each: Callable[[Json], T]) -> Page[T]:
    """A page of a list; one that the service does not page is a page that is alone."""
    rows = [each(row) for row in part(document, "data")]
    return Page(rows, part(document, "has_more"), part(document, "next"))


def points_of(series: Mapping[str, Json]) -> dict[str, Points]:
    """The points of each series with floats for values."""
    return {
        name: Points(list(points["iteration"]), [number(v) for v in points["value"]])
        for name, points in series.items()
    }


def metrics_of(document: Json) -> Metrics:
    """The answer of `GET /v1/jobs/{id}/metrics`."""
    return read(Metrics, document, series=points_of(part(document, "series")))


def event_of(document: Json) -> Event:
    """One event of the list of a job's events."""
    return read(Event, document, created_at=time_of(document.get("created_at")))


def intervention_of(document: Json) -> Intervention:
    """One entry of a job's log of interventions."""
    return read(Intervention, document, created_at=time_of(document.get("created_at")))


def predictions_of(document: Json) -> Predictions:
    """The answer of a `predict` route; a label stays as it is, even the label "NaN"."""
    rows = [
        read(
            Prediction,
            {key: value if key == "label" else numbers(value) for key, value in row.items()},
        )
        for row in part(document, "predictions")
    ]
    return read(Predictions, document, predictions=rows)
