"""When a job ends: functions of the recorded series, wherever blocks end."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.specifications import ONE_WEIGHT
from tests.training.small_jobs import Ended, cnn, ready, regression, stepped, table, trained
from training.catalog import METRICS
from training.engine.stopping import Counters, converged_at, diverged_at, improves, remember, watch
from training.spec.job_spec import Convergence, EarlyStopping

# Convergence.


def by_definition(losses: np.ndarray[Any, np.dtype[np.float32]], rule: Convergence) -> int | None:
    """The first n at which the losses of n − window … n lie within the tolerance."""
    for n in range(rule.window, len(losses)):
        last = losses[n - rule.window : n + 1].astype(np.float64)
        if last.max() - last.min() < rule.tolerance:
            return n
    return None


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(1, 3),
    st.lists(st.integers(0, 9), min_size=1, max_size=30),
)
def test_convergence_is_found_where_the_definition_says_wherever_blocks_end(
    values: list[int], window: int, tolerance: int, lengths: list[int]
) -> None:
    losses = np.array(values, dtype=np.float32)
    rule = Convergence(tolerance=float(tolerance), window=window)
    counters, first, found = Counters(), 0, None
    for length in [*lengths, len(losses)]:
        block = losses[first : first + length]
        at = converged_at(rule, counters, block)
        if at is not None:
            found = first + at
            break
        counters, first = remember(rule, counters, block), first + len(block)
    assert found == by_definition(losses, rule)


@pytest.mark.parametrize("seconds", [0, 0.003, 60])
def test_a_job_stops_at_the_first_iteration_that_has_converged(seconds: float) -> None:
    rule = {"tolerance": 0.01, "window": 5}
    ended = stepped(ready({**ONE_WEIGHT, "convergence": rule}), seconds)
    # The loss is 4·0.64ⁿ, so n is the first with 4·0.64ⁿ·(0.64⁻⁵ − 1) < 0.01.
    wanted = next(n for n in range(5, 50) if 4 * 0.64**n * (0.64**-5 - 1) < 0.01)
    assert ended.outcome.reason == "converged"
    assert len(ended.losses) == wanted + 1
    assert ended.outcome.iteration == wanted + 1


def test_a_job_that_does_not_converge_is_completed() -> None:
    ended = trained(ready({**ONE_WEIGHT, "convergence": {"tolerance": 1e-30, "window": 5}}))
    assert ended.outcome.reason == "completed"


def test_losses_without_bounds_have_not_converged() -> None:
    losses = np.array([np.inf, np.inf, np.nan, 1.0, 1.0], dtype=np.float32)
    assert converged_at(Convergence(tolerance=1.0, window=1), Counters(), losses) == 4


# Early stopping.


def best_and_end(ended: Ended, metric: str, rises: bool, patience: int, gain: float) -> Any:
    """What early stopping means, from the recorded evaluations: (best iteration, last one)."""
    best, best_at, waited = None, None, 0
    for n, values in ended.evaluations:
        value = values[metric]
        if best is None or (value - best if rises else best - value) > gain:
            best, best_at, waited = value, n, 0
        else:
            waited += 1
        if waited == patience:
            return best_at, n
    return best_at, None


@pytest.mark.parametrize("restore_best", [True, False])
@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("min_delta", [0.0, 0.02])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_early_stopping_ends_after_its_patience(
    metric: str, min_delta: float, patience: int, restore_best: bool
) -> None:
    rule = {
        "metric": f"validation_{metric}",
        "patience": patience,
        "min_delta": min_delta,
        "restore_best": restore_best,
    }
    noise = {**cnn()["dataset"], "y": [(i * i + i // 5) % 3 for i in range(48)]}
    job = ready(cnn(dataset=noise, iterations=300, evaluate_every=2, early_stopping=rule))
    ended = trained(job)
    best, end = best_and_end(ended, metric, metric == "accuracy", patience, min_delta)
    assert ended.outcome.reason == "early_stopping"
    assert ended.outcome.iteration == end == ended.evaluations[-1].iteration == len(ended.losses)
    kept = best if restore_best else end
    values = next(values for n, values in ended.evaluations if n == kept)
    assert ended.outcome.result["validation"] == values
    assert job.training().measure("validation", ended.outcome.weights) == values


def test_the_best_weights_are_restored_though_the_job_was_completed() -> None:
    noise = {"x": table(40, 3), "y": table(40, 2, seed=9)}
    rule = {"patience": 99}
    ended = trained(
        ready(regression(dataset=noise, iterations=60, evaluate_every=3, early_stopping=rule))
    )
    best = min(ended.evaluations, key=lambda evaluation: evaluation.values["loss"])
    assert ended.outcome.reason == "completed"
    assert best.iteration < 60
    assert ended.outcome.result["validation"] == best.values


def test_accuracies_and_areas_rise_and_errors_fall() -> None:
    falling = {"loss", "mse", "mae"}
    for metric in {"loss", *METRICS}:
        rule, rises = (
            EarlyStopping(metric=f"validation_{metric}", patience=1),
            metric not in falling,
        )
        assert improves(rule, 2.0, 1.0) is rises
        assert improves(rule, 1.0, 2.0) is not rises
        assert not improves(rule, 1.0, 1.0)


def test_a_value_that_is_no_number_never_improves() -> None:
    rule = EarlyStopping(patience=2)
    counters = watch(rule, Counters(), 5, {"loss": float("nan")})
    assert counters.best is None
    assert counters.without_improvement == 1
    counters = watch(rule, counters, 10, {"loss": 3.0})
    assert (counters.best, counters.best_iteration, counters.without_improvement) == (3.0, 10, 0)
    assert watch(rule, counters, 15, {"loss": float("nan")}).best == 3.0


# Divergence.


@pytest.mark.parametrize(
    ("start", "losses", "at"),
    [
        (1.0, [1.0, 2.0, 3.0], None),
        (1.0, [1.0, float("nan"), 3.0], 1),
        (1.0, [1.0, 2.0, float("inf")], 2),
        (1.0, [1.0, 1e7, 5.0], None),
        (1.0, [1.0, 2e8, 5.0], 1),
        (1e6, [1e6, 2e8, 5.0], None),
        (1e-6, [1e-6, 1e3], None),
        (1e38, [1e38, 2e38, float("inf")], 2),
        (None, [], None),
        (float("nan"), [float("nan")], 0),
        (float("inf"), [float("inf")], 0),
    ],
)
def test_divergence_is_a_loss_that_is_not_finite_or_beyond_return(
    start: float | None, losses: list[float], at: int | None
) -> None:
    assert diverged_at(Counters(start=start), np.array(losses, dtype=np.float32)) == at
