"""When a job ends before its last iteration: functions of the iteration number and the recorded
series, never of where a block happened to end.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.catalog.metrics import rises
from training.spec.job_spec import Convergence, EarlyStopping

Losses = NDArray[np.float32]

MAX_LOSS_RATIO = 1e8
"""Times the loss at the start (or 1, if that is more): a loss above it has diverged."""


@dataclass(frozen=True)
class Counters:
    """What the rules remember. ``start``: the loss at iteration 0. ``tail``: the last losses, one
    more than the window of ``convergence``, so that it tells of itself whether they converged."""

    start: float | None = None
    best: float | None = None
    best_iteration: int | None = None
    without_improvement: int = 0
    tail: tuple[float, ...] = ()


def watch(rule: EarlyStopping, counters: Counters, n: int, values: dict[str, float]) -> Counters:
    """The counters after the evaluation at iteration ``n`` (names without ``validation_``)."""
    value = values[rule.metric.removeprefix("validation_")]
    if improves(rule, value, counters.best):
        return replace(counters, best=value, best_iteration=n, without_improvement=0)
    return replace(counters, without_improvement=counters.without_improvement + 1)


def improves(rule: EarlyStopping, value: float, best: float | None) -> bool:
    """NaN never improves on anything."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    gain = value - best if rises(rule.metric) else best - value
    return gain > rule.min_delta


def converged_at(rule: Convergence, counters: Counters, losses: Losses) -> int | None:
    """The index in ``losses`` at which the job has converged, if any; −1: before the first of them.

    Converged at n: the largest and the smallest loss of n − window … n differ by less than
    ``tolerance`` (differences in float64).
    """
    series = np.concatenate([np.array(counters.tail, dtype=np.float64), losses])
    if len(series) <= rule.window:
        return None
    spans = np.lib.stride_tricks.sliding_window_view(series, rule.window + 1)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is no number, and so below no tolerance
        still = np.flatnonzero(spans.max(axis=1) - spans.min(axis=1) < rule.tolerance)
    return int(still[0]) + rule.window - len(counters.tail) if len(still) else None


def remember(rule: Convergence | None, counters: Counters, losses: Losses) -> Counters:
    """The counters after these losses."""
    series = tuple(float(loss) for loss in losses)
    if counters.start is None and series:
        counters = replace(counters, start=series[0])
    return (
        counters
        if rule is None
        else replace(counters, tail=(*counters.tail, *series)[-rule.window - 1 :])
    )


def diverged_at(counters: Counters, losses: Losses) -> int | None:
    """The index of the first loss that is not finite, or beyond all that can come back.

    A huge step can leave a classifier at a loss of 10³⁰ from which it falls to a useless plateau
    without ever overflowing; ``EXPLODED`` tells it from the spikes of a training that recovers.
    """
    bound = MAX_LOSS_RATIO * max(1.0, counters.start or 0.0)
    # Also true of NaN. In float64: the bound of a large start is beyond float32.
    bad = np.flatnonzero(~(losses.astype(np.float64) < bound))
    return int(bad[0]) if len(bad) else None
