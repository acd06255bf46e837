"""The whole step, optimizer and schedule together, against torch.optim over 50 iterations."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from tests.training.engine import FLOAT64, Job, ready, regression
from training import catalog
from training.step import State

ITERATIONS = 50
TORCH: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def grid(name: str, **choices: list[Any]) -> list[Any]:
    """Every combination of arguments that torch takes."""
    found = []
    for values in itertools.product(*choices.values()):
        arguments = dict(zip(choices, values, strict=True))
        nesterov = arguments.get("nesterov", False)
        if nesterov and not (arguments["momentum"] and not arguments["dampening"]):
            continue
        spelled = " ".join(f"{k}={v}" for k, v in arguments.items())
        found.append(pytest.param({"type": name, **arguments}, id=f"{name} {spelled}"))
    return found


OPTIMIZERS = [
    *grid(
        "sgd",
        lr=[0.07],
        momentum=[0.0, 0.9],
        dampening=[0.0, 0.3],
        nesterov=[False, True],
        weight_decay=[0.0, 0.05],
    ),
    *(
        case
        for name in ("adam", "adamw")
        for betas, eps in [((0.9, 0.999), 1e-8), ((0.7, 0.93), 1e-2)]
        for case in grid(
            name,
            lr=[0.02],
            betas=[betas],
            eps=[eps],
            weight_decay=[0.0, 0.1],
            amsgrad=[False, True],
        )
    ),
]
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"type": "constant"},
    "warm-up": {"type": "constant", "warmup_iterations": 12, "warmup_start_factor": 0.2},
    "cosine": {"type": "cosine"},
    "cosine to a floor": {"type": "cosine", "eta_min": 0.004, "t_max": 70},
    "cosine after warm-up": {"type": "cosine", "warmup_iterations": 8, "eta_min": 0.001},
}


def torchs_schedule(optimizer: Optimizer, word: dict[str, Any]) -> LRScheduler:
    """The same schedule made of torch's."""
    warmup = word.get("warmup_iterations", 0)
    start = word.get("warmup_start_factor", 1 / 3)
    rise = LinearLR(optimizer, start if warmup else 1.0, total_iters=warmup)
    if word["type"] == "constant":
        return rise
    t_max = word.get("t_max") or ITERATIONS - warmup
    fall = CosineAnnealingLR(optimizer, t_max, eta_min=word.get("eta_min", 0.0))
    return SequentialLR(optimizer, [rise, fall], [warmup]) if warmup else fall


def job(optimizer: dict[str, Any], schedule: dict[str, Any]) -> Job:
    """A small network in float64."""
    return ready(regression(optimizer=optimizer, schedule=schedule, iterations=ITERATIONS), FLOAT64)


def ours(job: Job) -> list[tuple[Tensor, float]]:
    """Parameters after, and rate of, every update."""
    training = job.training()
    state: State = training.beginning().state
    found = []
    for n in range(ITERATIONS):
        state, _ = training.run(state, training.feed(n))
        found.append((state.parameters, job.plan.learning_rate(n)))
    return found


def theirs(
    job: Job, optimizer: dict[str, Any], schedule: dict[str, Any]
) -> list[tuple[Tensor, float]]:
    """The same by torch.nn, torch.optim and torch's schedulers."""
    training = job.training()
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    module.load_state_dict(training.network.views(training.beginning().state.parameters))
    arguments = {k: v for k, v in optimizer.items() if k != "type"}
    update = TORCH[optimizer["type"]](module.parameters(), **arguments)
    rates = torchs_schedule(update, schedule)
    found = []
    for n in range(ITERATIONS):
        rate = update.param_groups[0]["lr"]
        update.zero_grad()
        batch = training.feed(n)
        nn.functional.mse_loss(module(batch.x), batch.y).backward()
        update.step()
        rates.step()
        flat = torch.cat([p.detach().reshape(-1).clone() for p in module.parameters()])
        found.append((flat, rate))
    return found


def assert_same_course(optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
    """Every update leads to the same parameters at the same rate."""
    made = job(optimizer, schedule)
    courses = zip(ours(made), theirs(made, optimizer, schedule), strict=True)
    for (parameters, rate), (wanted, wanted_rate) in courses:
        torch.testing.assert_close(parameters, wanted, rtol=1e-10, atol=1e-13)
        assert rate == pytest.approx(wanted_rate, rel=1e-10, abs=1e-18)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_agrees_with_torch(optimizer: dict[str, Any]) -> None:
    assert_same_course(optimizer, SCHEDULES["constant"])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "optimizer",
    [
        {"type": "sgd", "lr": 0.07, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
        {"type": "adam", "lr": 0.02, "weight_decay": 0.1, "amsgrad": True},
        {"type": "adamw", "lr": 0.02, "betas": (0.7, 0.93), "weight_decay": 0.1},
    ],
    ids=lambda word: word["type"],
)
def test_an_optimizer_under_a_schedule_agrees_with_torch(
    optimizer: dict[str, Any], schedule: str
) -> None:
    assert_same_course(optimizer, SCHEDULES[schedule])


def test_the_cases_reach_every_optimizer_and_every_schedule() -> None:
    assert set(TORCH) == set(catalog.OPTIMIZERS)
    assert {schedule["type"] for schedule in SCHEDULES.values()} == set(catalog.SCHEDULES)
