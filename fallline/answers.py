"""The shapes of what the service answers, and how its numbers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict, cast

Json: TypeAlias = Any
"""What a JSON text holds: dictionaries, lists, strings, numbers, booleans and None."""

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})

NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Progress(TypedDict):
    """How far a job is; `iteration` counts the iterations that are recorded."""

    iteration: int
    iterations: int
    epoch: float
    fraction: float
    eta_seconds: float | None


class ModelRef(TypedDict):
    """The model that a succeeded job left."""

    name: str
    version: int
    id: str


class JobError(TypedDict):
    """Why a job failed."""

    category: str
    code: str
    message: str
    retryable: bool
    iteration: int | None


class Job(TypedDict):
    """A job as the service shows it."""

    id: str
    object: str
    name: str
    state: str
    state_reason: str | None
    spec: dict[str, Any]
    progress: Progress
    latest: dict[str, float]
    best: dict[str, float]
    queue: dict[str, Any] | None
    result: dict[str, dict[str, float]] | None
    model: ModelRef | None
    error: JobError | None
    attempts: int
    device: str | None
    worker: str | None
    execution: dict[str, Any] | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    metadata: dict[str, Any]


class Page(TypedDict):
    """One page of a list, newest first; `next` is the `after` of the page behind it."""

    data: list[Job]
    has_more: bool
    next: str | None


class Prediction(TypedDict, total=False):
    """`label` and `probabilities` from a classifier, `value` from a regression."""

    label: Any
    probabilities: list[float]
    value: list[float]


class Predictions(TypedDict):
    """What a model says about each input, in their order."""

    model: str
    version: int
    predictions: list[Prediction]


@dataclass
class Points:
    """Some points of one series, in the order of their iterations; the two lists are as long."""

    iterations: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def extend(self, more: Points) -> None:
        """Put the points of `more` behind these."""
        self.iterations += more.iterations
        self.values += more.values


@dataclass(frozen=True)
class Metrics:
    """One page of a job's series; `next_after` is None on the last page that exists so far."""

    series: dict[str, Points]
    state: str
    complete: bool
    next_after: int | None


def number(value: float | str) -> float:
    """A number as JSON carries it: itself, or one of "NaN", "Infinity" and "-Infinity"."""
    return NON_FINITE[value] if isinstance(value, str) else float(value)


def numbers(value: Json) -> Json:
    """`value` with the three strings turned into floats, however deep they lie in it."""
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers(inner) for inner in value]
    return value


def job_of(answer: Mapping[str, Any]) -> Job:
    """A job document with floats for its values; its specification and metadata stay as posted."""
    values = {name: numbers(answer[name]) for name in ("latest", "best", "result")}
    return cast(Job, {**answer, **values})


def metrics_of(answer: dict[str, Any]) -> Metrics:
    """The answer of `GET /v1/jobs/{id}/metrics` with floats for its values."""
    series = {
        name: Points(list(points["iteration"]), [number(v) for v in points["value"]])
        for name, points in answer["series"].items()
    }
    return Metrics(series, answer["state"], answer["complete"], answer.get("next_after"))


def predictions_of(answer: dict[str, Any]) -> Predictions:
    """The answer of a `predict` route; a label stays as it is, even the label "NaN"."""
    rows = [
        {key: value if key == "label" else numbers(value) for key, value in row.items()}
        for row in answer["predictions"]
    ]
    return cast(Predictions, {**answer, "predictions": rows})


def joined(names: Sequence[str]) -> str:
    """Names as a comma-separated query value."""
    return ",".join(names)
