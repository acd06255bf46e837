"""Fewer points of a series to look at, and none lost that an eye would miss.

The range is cut into buckets of nearly equal width. Each keeps its smallest and its largest finite
value, and the first NaN, the first Infinity and the first -Infinity where it has them; the first
and the last point of all are kept as well.
"""

import numpy as np
from numpy.typing import NDArray

from app.services.metrics.points import EMPTY, Points, joined

MIN_KEPT_COUNT = 7
"""First, last, smallest, largest, NaN and both infinities: what one bucket may have to keep."""
BUCKET_PARTS_COUNT = 16
"""Parts that make one bucket of the result, at most and if all goes well."""

Iterations = NDArray[np.int64]


class Sampler:
    """At most ``most`` points (or ``FEWEST``) of a series, which is seen one stretch at a time.

    ``first`` and ``last``: the ends of the range. How much must be kept is known at the end only,
    so narrow parts are kept first, and joined then to as many buckets as the limit allows: a bucket
    is whole parts, so what it keeps is exact. A part belongs to the bucket in which it begins.
    """

    def __init__(self, most: int, first: int, last: int) -> None:
        self.most = max(most, MIN_KEPT_COUNT)
        self.first = first
        self.buckets = max(1, (self.most - 2) // 2)
        self.length = max(1, last - first + 1)
        self.grain = max(1, self.length // (BUCKET_PARTS_COUNT * self.buckets))
        self.count = 0
        self.begins = [EMPTY.iterations]
        self.kept = [EMPTY]

    @property
    def bucket_width(self) -> float:
        """Iterations a bucket, if all goes well."""
        return self.length / self.buckets

    def add(self, stretch: Points) -> None:
        """Some points, all of those between its first and its last."""
        if len(stretch.iterations):
            part = (stretch.iterations - self.first) // self.grain
            keep = extremes(part, stretch.values)
            points = Points(stretch.iterations[keep], stretch.values[keep])
            self.take(self.first + part[keep] * self.grain, points, len(stretch.iterations))

    def take(self, begins: Iterations, points: Points, count: int) -> None:
        """The extremes of parts, with the iteration at which the part of each begins, that stand
        for ``count`` points."""
        self.begins.append(begins)
        self.kept.append(points)
        self.count += count

    def result(self) -> Points:
        """The points to show."""
        points, begins = joined(self.kept), np.concatenate(self.begins)
        order = np.argsort(points.iterations, kind="stable")
        points, begins = Points(points.iterations[order], points.values[order]), begins[order]
        if len(order) <= self.most and len(order) == self.count:
            return points
        buckets = self.buckets
        while True:
            keep = extremes((begins - self.first) * buckets // self.length, points.values)
            if len(keep) <= self.most or buckets == 1:
                return Points(points.iterations[keep], points.values[keep])
            buckets = max(1, min(buckets - 1, buckets * self.most // len(keep)))


def extremes(part: Iterations, values: NDArray[np.floating]) -> Iterations:
    """Places, ascending, of what each part keeps, and of the first and the last value of all.

    ``part`` ascends, and there is at least one value.
    """
    keep = remarkable(part, values)
    keep[[0, -1]] = True
    return np.flatnonzero(keep)


def remarkable(bucket: Iterations, values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of the values to keep; ``bucket`` ascends."""
    keep = np.zeros(len(values), dtype=bool)
    for odd in (np.isnan(values), np.isposinf(values), np.isneginf(values)):
        keep[firsts(bucket, np.flatnonzero(odd))] = True
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite):
        own, within = values[finite], bucket[finite]
        starts = np.flatnonzero(np.r_[True, within[1:] != within[:-1]])
        sizes = np.diff(np.r_[starts, len(within)])
        for extreme in (np.minimum, np.maximum):
            best = np.repeat(extreme.reduceat(own, starts), sizes)
            keep[firsts(bucket, finite[own == best])] = True
    return keep


def firsts(bucket: Iterations, places: Iterations) -> Iterations:
    """Of the places, which ascend, the first in each bucket."""
    _, first = np.unique(bucket[places], return_index=True)
    return places[first]
