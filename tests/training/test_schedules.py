"""Schedules against torch.optim.lr_scheduler, iteration by iteration."""

import math
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as torchs

from training.catalog import SCHEDULES
from training.catalog.schedules import ScheduleConfig

LR, ITERATIONS = 0.3, 60

Arguments = dict[str, Any]

TORCH: dict[str, Any] = {
    "constant": lambda optimizer, steps: torchs.LambdaLR(optimizer, lambda n: 1.0),
    "cosine": lambda optimizer, steps, t_max=None, **rest: torchs.CosineAnnealingLR(
        optimizer, t_max or steps, **rest
    ),
    "step": lambda optimizer, steps, **rest: torchs.StepLR(optimizer, **rest),
    "multi_step": lambda optimizer, steps, **rest: torchs.MultiStepLR(optimizer, **rest),
    "exponential": lambda optimizer, steps, **rest: torchs.ExponentialLR(optimizer, **rest),
    "linear": lambda optimizer, steps, total_iters=None, **rest: torchs.LinearLR(
        optimizer, total_iters=total_iters or steps, **rest
    ),
    "polynomial": lambda optimizer, steps, total_iters=None, **rest: torchs.PolynomialLR(
        optimizer, total_iters or steps, **rest
    ),
    "one_cycle": lambda optimizer, steps, total_steps=None, **rest: torchs.OneCycleLR(
        optimizer, total_steps=total_steps or steps, cycle_momentum=False, **rest
    ),
}

CASES: list[tuple[str, Arguments]] = [
    ("constant", {}),
    ("cosine", {}),
    ("cosine", {"t_max": 70, "eta_min": 0.004}),
    ("step", {"step_size": 7}),
    ("step", {"step_size": 1, "gamma": 1.02}),
    ("multi_step", {"milestones": [50, 3, 20, 20], "gamma": 0.5}),
    ("multi_step", {"milestones": [0, 1000]}),
    ("exponential", {"gamma": 0.93}),
    ("exponential", {"gamma": 1.05}),
    ("linear", {}),
    ("linear", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 33}),
    ("linear", {"start_factor": 0.2, "end_factor": 0.9, "total_iters": 500}),
    ("polynomial", {}),
    ("polynomial", {"power": 2.5, "total_iters": 41}),
    ("polynomial", {"power": 0.5, "total_iters": 100}),
    *(
        ("one_cycle", {"max_lr": 0.8, "anneal_strategy": strategy, "three_phase": three, **rest})
        for strategy in ("cos", "linear")
        for three in (False, True)
        for rest in (
            {},
            {"pct_start": 0.45, "div_factor": 7.0, "final_div_factor": 50.0},
            {"pct_start": 0.0},
            {"pct_start": 1.0, "total_steps": 61},
            {"pct_start": 0.6},
        )
    ),
]


def word(name: str, arguments: Arguments) -> ScheduleConfig:
    return SCHEDULES[name].model_validate({"type": name, **arguments})


def optimizer() -> Optimizer:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)


def course(scheduler: Any, optimizer: Optimizer, steps: int) -> list[float]:
    """The rates of torch's updates."""
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def names(case: Any) -> str:
    return " ".join(f"{k}={v}" for k, v in case.items()) or "as it is" if case else str(case)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_schedule_agrees_with_torch(name: str, arguments: Arguments) -> None:
    update = optimizer()
    # One more, for OneCycleLR refuses the step after its last.
    wanted = course(TORCH[name](update, ITERATIONS, **arguments), update, ITERATIONS - 1)
    schedule = word(name, arguments)
    ours = [schedule.learning_rate(LR, n, ITERATIONS) for n in range(ITERATIONS)]
    assert ours[:-1] == pytest.approx(wanted, rel=1e-10, abs=1e-17)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [case for case in CASES if case[0] not in ("one_cycle", "linear") and case[1] != CASES[6][1]],
    ids=str,
)
def test_a_warm_up_is_a_linear_schedule_before_another(name: str, arguments: Arguments) -> None:
    update, warmup = optimizer(), 12
    rise = torchs.LinearLR(update, 0.2, total_iters=warmup)
    then = TORCH[name](update, ITERATIONS - warmup, **arguments)
    wanted = course(torchs.SequentialLR(update, [rise, then], [warmup]), update, ITERATIONS)
    schedule = word(name, {**arguments, "warmup_iterations": warmup, "warmup_start_factor": 0.2})
    ours = [schedule.learning_rate(LR, n, ITERATIONS) for n in range(ITERATIONS)]
    assert ours == pytest.approx(wanted, rel=1e-10, abs=1e-17)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_warm_up_rises_to_the_first_rate_and_then_the_schedule_begins(
    name: str, arguments: Arguments
) -> None:
    cold = word(name, arguments)
    warm = word(name, {**arguments, "warmup_iterations": 8, "warmup_start_factor": 0.25})
    first = cold.learning_rate(LR, 0, 52)
    for n in range(8):
        assert warm.learning_rate(LR, n, 60) == pytest.approx(first * (0.25 + 0.75 * n / 8))
    for n in range(52):
        assert warm.learning_rate(LR, 8 + n, 60) == cold.learning_rate(LR, n, 52)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_schedule_that_is_over_has_a_rate_still(name: str, arguments: Arguments) -> None:
    for n in (60, 10**6, 10**8):
        assert word(name, arguments).learning_rate(LR, n, 60) >= 0
    assert word(name, arguments).learning_rate(LR, 0, 1) >= 0


def test_a_rise_of_one_iteration_is_its_top_where_torch_divides_by_zero() -> None:
    schedule = word("one_cycle", {"max_lr": 0.8, "pct_start": 0.1})
    assert schedule.learning_rate(LR, 0, 10) == 0.8


def test_a_rate_beyond_all_numbers_is_infinite() -> None:
    assert word("exponential", {"gamma": 2.0}).learning_rate(LR, 10**6, 10**7) == math.inf


def test_the_cases_reach_every_schedule() -> None:
    assert set(TORCH) == set(SCHEDULES) == {name for name, _ in CASES}
