"""A running average of a series, as TensorBoard draws it."""

from collections.abc import Callable
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from app.database.column_types import Floats


class Average:
    """The debiased exponential moving average; call it with one stretch after the other.

    s[t] = w·s[t-1] + (1-w)·x[t], divided by 1-w^t, so that the start is not drawn towards zero. A
    weight of 0 changes nothing; a weight of 1 is the limit, the mean of all so far. A value that is
    not finite stays what it is in its place, and the average goes on as if it had not been there.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.last = 0.0
        self.count = 0

    def __call__(self, values: Floats) -> NDArray[np.float64]:
        """The smoothed values that stand in the place of these."""
        smoothed = values.astype(np.float64)
        finite = np.isfinite(smoothed)
        new = smoothed[finite]
        # One after the other: in closed form, powers of the weight would under- and overflow.
        sums = list(accumulate(new.tolist(), self.step(), initial=self.last))
        t = self.count + np.arange(1, len(new) + 1)
        self.last, self.count = sums[-1], self.count + len(new)
        smoothed[finite] = np.array(sums[1:]) / self.mass(t)
        return smoothed

    def step(self) -> Callable[[float, float], float]:
        """From one sum to the next."""
        old, new = self.weight, 1.0 - self.weight
        if new == 0.0:
            return float.__add__
        return lambda last, value: old * last + new * value

    def mass(self, t: NDArray[np.int64]) -> NDArray[np.float64]:
        """The weights that a sum of ``t`` values holds, together."""
        if self.weight == 1.0:
            return t.astype(np.float64)
        return np.subtract(1.0, np.power(self.weight, t), dtype=np.float64)
