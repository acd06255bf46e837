"""The whole step, optimizer and schedule together, against torch.optim over 50 iterations."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR

from tests.training.small_jobs import FLOAT64, Job, ready, regression
from training import catalog
from training.catalog.optimizers import NAdam as NAdamWord
from training.functional.optimizers import RULES, mu, mu_product
from training.step.step import State


class Lion(Optimizer):
    """Algorithm 2 of Chen et al. 2023 (arXiv:2302.06675), line by line."""

    def __init__(self, params: Any, lr: float, betas: Any, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for theta in group["params"]:
                m = self.state[theta].setdefault("m", torch.zeros_like(theta))
                c = beta1 * m + (1 - beta1) * theta.grad
                theta -= group["lr"] * (torch.sign(c) + group["weight_decay"] * theta)
                self.state[theta]["m"] = beta2 * m + (1 - beta2) * theta.grad


ITERATIONS = 50
TORCH: dict[str, Any] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "nadam": NAdam,
    "radam": RAdam,
    "lion": Lion,
}


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
    *grid(
        "rmsprop",
        lr=[0.01],
        alpha=[0.9],
        eps=[1e-3],
        momentum=[0.0, 0.8],
        centered=[False, True],
        weight_decay=[0.0, 0.05],
    ),
    *grid(
        "adagrad",
        lr=[0.1],
        lr_decay=[0.0, 0.05],
        weight_decay=[0.0, 0.05],
        initial_accumulator_value=[0.0, 0.3],
        eps=[1e-6],
    ),
    *grid(
        "nadam",
        lr=[0.02],
        betas=[(0.9, 0.999), (0.7, 0.93)],
        momentum_decay=[0.004, 0.0, 0.3, 2.0],
        weight_decay=[0.0, 0.1],
        decoupled_weight_decay=[False, True],
    ),
    *grid(
        "radam",
        lr=[0.02],
        betas=[(0.9, 0.999), (0.7, 0.93), (0.8, 0.5)],
        eps=[1e-6],
        weight_decay=[0.0, 0.1],
        decoupled_weight_decay=[False, True],
    ),
    *grid("lion", lr=[0.003], betas=[(0.9, 0.99), (0.6, 0.8)], weight_decay=[0.0, 0.1]),
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


@pytest.fixture(autouse=True)
def torchs_own_scalars_in_float64() -> Iterator[None]:
    """NAdam keeps the product of its momenta in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


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


def test_the_cases_reach_every_optimizer() -> None:
    assert set(TORCH) == set(catalog.OPTIMIZERS) == set(RULES)
    assert {case.values[0]["type"] for case in OPTIMIZERS} == set(TORCH)


@pytest.mark.parametrize("name", sorted(set(TORCH) - {"lion"}))
def test_what_is_not_given_is_as_in_torch(name: str) -> None:
    theirs = TORCH[name]([nn.Parameter(torch.zeros(1))]).defaults
    ours = catalog.OPTIMIZERS[name].model_validate({"type": name}).model_dump(exclude={"type"})
    assert ours == {argument: theirs[argument] for argument in ours}


# Numbers that depend on the iteration.


@pytest.mark.parametrize("decay", [0.0, 1e-6, 0.004, 0.3, 0.39, 5.0, 1e38])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.9999, 1 - 1e-16])
def test_the_momenta_of_nadam_are_multiplied_without_carrying_anything(
    beta: float, decay: float
) -> None:
    word = NAdamWord(type="nadam", betas=(beta, 0.999), momentum_decay=decay)
    t_N = np.arange(1, 6000)
    assert mu_product(word, t_N) == pytest.approx(
        np.cumprod(mu(word, t_N)), rel=1e-11, abs=2.0**-54
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("n", [10**6, 10**8])
def test_late_iterations_have_numbers_too(n: int, optimizer: dict[str, Any]) -> None:
    word = catalog.OPTIMIZERS[optimizer["type"]].model_validate(optimizer)
    numbers = RULES[word.type].hyper(word, np.array([word.lr]), np.array([n]))
    assert all(np.isfinite(number).all() for number in numbers.values())


def test_a_gradient_that_never_changes_has_no_variance_below_zero() -> None:
    arguments = {"type": "rmsprop", "centered": True, "alpha": 0.9}
    word, rule = catalog.OPTIMIZERS["rmsprop"].model_validate(arguments), RULES["rmsprop"]
    g = torch.randn(1000, generator=torch.manual_seed(0), dtype=torch.float32)
    numbers = rule.hyper(word, np.array([1e-9]), np.array([0]))
    hyper = {name: g.new_tensor(float(np.max(number))) for name, number in numbers.items()}
    p, slots = torch.zeros_like(g), {name: torch.zeros_like(g) for name in rule.slots(word)}
    for _ in range(500):
        p, slots = rule.update(word, p, g, slots, hyper)
    assert torch.isfinite(p).all()
