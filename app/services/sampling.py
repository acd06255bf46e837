"""Fewer points of a series to look at, and none lost that an eye would miss.

The range is cut into buckets of equal width. Each keeps its smallest and its largest finite value,
and the first NaN, the first Infinity and the first -Infinity where it has them; the first and the
last point of all are kept as well.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from app.services.points import EMPTY, Points, joined

FEWEST = 7
"""First, last, smallest, largest, NaN and both infinities: what one bucket may have to keep."""
FINE = 16
"""Fine buckets that make one of the result, if all goes well."""


class Sampler:
    """At most ``most`` points (or ``FEWEST``) of a series, which is seen one stretch at a time.

    ``first`` and ``last``: the ends of the range. How much must be kept is known at the end only,
    so fine buckets are kept first, and as many of them joined as the limit asks for: their borders
    are then borders of fine ones, and what a joined bucket keeps is exact.
    """

    def __init__(self, most: int, first: int, last: int) -> None:
        self.most = max(most, FEWEST)
        self.first = first
        self.buckets = FINE * max(1, (self.most - 2) // 2)
        self.length = max(1, last - first + 1)
        self.count = 0
        self.kept = EMPTY

    def add(self, stretch: Points) -> None:
        """What comes next in the series."""
        self.count += len(stretch.iterations)
        self.kept = joined([self.kept, self.reduced(stretch, 1)])

    def result(self) -> Points:
        """The points to show."""
        together, found = FINE, self.reduced(self.kept, FINE)
        while len(found.iterations) > self.most and together < self.buckets:
            fitting = -(-together * len(found.iterations) // self.most)
            together = max(together + 1, fitting)
            found = self.reduced(self.kept, together)
        return found

    def reduced(self, points: Points, together: int) -> Points:
        """What buckets of so many fine ones keep of some points."""
        if not len(points.iterations):
            return points
        bucket = (points.iterations - self.first) * self.buckets // self.length // together
        keep = remarkable(bucket, points.values)
        keep[[0, -1]] = True
        return Points(points.iterations[keep], points.values[keep])


def remarkable(bucket: NDArray[np.int64], values: NDArray[np.floating]) -> NDArray[np.bool_]:
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


def firsts(bucket: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the places, which ascend, the first in each bucket."""
    _, first = np.unique(bucket[places], return_index=True)
    return places[first]


def sampled(stretches: Iterable[Points], most: int, first: int, last: int) -> tuple[Points, int]:
    """The points to show of a series, and how many it has."""
    sampler = Sampler(most, first, last)
    for stretch in stretches:
        sampler.add(stretch)
    return sampler.result(), sampler.count
