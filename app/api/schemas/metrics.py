"""Recorded series, as documents."""

from typing import Any

import numpy as np

from app.api.schemas.base import Document, Number
from app.jsonable import to_jsonable
from app.services.metrics.points import Points


class PointsDocument(Document):
    """A series: iterations ascending, and the value at each."""

    iteration: list[int]
    value: list[Number]


class MetricsDocument(Document):
    """Recorded series; ``last`` is the newest iteration given of each, ``next_after`` where the
    following page begins after.

    With ``points``: whether any was left out, and how many there are of each series.
    """

    job: str
    series: dict[str, PointsDocument]
    last: dict[str, int]
    state: str
    complete: bool
    next_after: int | None
    sampled: bool = False
    count: dict[str, int] | None = None


def points_document(points: Points) -> dict[str, list[Any]]:
    """A series: float32 widened to float64 is the stored number, exactly."""
    values = points.values.astype(float).tolist()
    for place in np.flatnonzero(~np.isfinite(points.values)).tolist():
        values[place] = to_jsonable(values[place])
    return {"iteration": points.iterations.tolist(), "value": values}
