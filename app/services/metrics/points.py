"""Points of a series: iterations and values, side by side, ascending."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Points(NamedTuple):
    """Iterations int64 [n], ascending; values float32 [n], or float64 when they were computed."""

    iterations: NDArray[np.int64]
    values: NDArray[np.floating]

    def between(self, after: int | None, before: int | None) -> "Points":
        """Those past iteration ``after`` that come before iteration ``before``."""
        begin = 0 if after is None else np.searchsorted(self.iterations, after, side="right")
        end = None if before is None else np.searchsorted(self.iterations, before, side="left")
        return Points(self.iterations[begin:end], self.values[begin:end])


EMPTY = Points(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def joined(parts: Sequence[Points]) -> Points:
    """One after the other."""
    return Points(
        np.concatenate([part.iterations for part in parts]),
        np.concatenate([part.values for part in parts]),
    )
