"""G1 to G3: what a GPU gives, against the same by hand on the same GPU. Seconds on the wall.

G1, theirs: the loop of somebody who knows what costs time: data on the device, batches by index,
torch's own fused Adam; and ``.item()`` every iteration, for our side records every loss. G2: 128
such jobs through the whole service, first POST to last commit, every loss durable; theirs is the
loop of G1 one job after another, which keeps nothing. G3: the network of airbench94 (Keller
Jordan, github.com/KellerJordan/cifar10-airbench, 2024: widths 64, 256, 256, GELU, batch 1024,
Nesterov momentum 0.85, label smoothing 0.2) on made-up images of CIFAR's shape, in bfloat16,
against the same network as plain PyTorch writes it, in channels-last memory; without its whitening
and its schedule, which neither side has. The losses at the end of both sides must agree.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.goals import Missing, Round, goal, in_turn, timed
from fallline import Client
from fallline.embedded import Embedded
from training import numerics
from training.check import UNLIMITED, check
from training.data import Data, load
from training.numerics import Numerics
from training.plan import Plan
from training.run import train

JOBS, ITERATIONS, TINY_BATCH = 128, 2000, 64
TINY: dict[str, Any] = {
    "dataset": "digits",
    "model": [
        {"type": "linear", "out_features": 128},
        "relu",
        {"type": "linear", "out_features": 10},
    ],
    "loss": "cross_entropy",
    "optimizer": {"type": "adam", "lr": 1e-3},
    "batch_size": TINY_BATCH,
    "iterations": ITERATIONS,
}
LAST, EQUAL = 100, 0.25
"""Iterations over which losses are compared, and the part by which their means may differ."""


def device() -> torch.device:
    """The GPU; ``Missing`` without."""
    if not torch.cuda.is_available():
        raise Missing("there is no CUDA device")
    return torch.device("cuda")


def prepared(specification: dict[str, Any], on: torch.device) -> tuple[Plan, Data, Numerics]:
    """A job made ready."""
    numerics.configure()
    plan = check(specification, UNLIMITED)
    kind: Any = on.type
    where = Numerics.on(kind, plan.spec.precision)
    return plan, load(plan, where), where


def engine(plan: Plan, data: Data, where: Numerics) -> list[float]:
    """Our losses."""
    blocks = [block.losses for block in train(plan, data, where)]
    return [float(loss) for loss in np.concatenate(blocks)]


def by_hand(
    plan: Plan, data: Data, network: nn.Module, update: torch.optim.Optimizer, *, wide: bool
) -> list[float]:
    """The losses of a loop by hand; ``wide``: layers in bfloat16, images in channels-last memory,
    and one transfer at the end instead of one an iteration."""
    part, losses = data.parts["train"], list[Any]()
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2 if wide else 0.0)
    x = part.x.contiguous(memory_format=torch.channels_last) if wide else part.x
    while True:
        order = torch.randperm(len(part.rows), device=part.x.device)
        for rows in order.split(plan.batch_size):
            if len(rows) < plan.batch_size:
                continue
            update.zero_grad()
            with torch.autocast(part.x.device.type, torch.bfloat16, enabled=wide):
                loss = criterion(network(x[rows]), part.y[rows])
            loss.backward()
            update.step()
            losses.append(loss.detach() if wide else loss.item())
            if len(losses) == plan.iterations:
                return [float(one) for one in losses]


def agree(ours: list[float], theirs: list[float]) -> None:
    """Both sides have learned the same."""
    one, other = float(np.mean(ours[-LAST:])), float(np.mean(theirs[-LAST:]))
    assert abs(one - other) < max(EQUAL * other, 0.1), (one, other)


def tiny_by_hand(plan: Plan, data: Data) -> list[float]:
    """One job of G1's other side."""
    place = data.parts["train"].x.device
    layers = (nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    network = nn.Sequential(*layers).to(place)
    update = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    return by_hand(plan, data, network, update, wide=False)


@goal("G1", "one tiny MLP, Adam, the engine", against="fused Adam, resident, .item()", least=5.0)
def one() -> Iterator[Round]:
    """Rounds of 2 000 iterations."""
    plan, data, where = prepared(TINY, device())
    agree(engine(plan, data, where), tiny_by_hand(plan, data))
    yield from in_turn(
        timed(lambda: engine(plan, data, where)), timed(lambda: tiny_by_hand(plan, data))
    )


@goal(
    "G2",
    "128 tiny MLPs through the service, every loss durable",
    against="the loop of G1, one job after another",
    least=100.0,
)
def many() -> Iterator[Round]:
    """Rounds of 128 jobs of ours; theirs are as many times one."""
    plan, data, _ = prepared(TINY, device())
    settings = {"FALLLINE_WORKER_PROCESSES": "1"}
    with (
        tempfile.TemporaryDirectory(prefix="fl-bench-") as folder,
        Embedded(Path(folder) / "home", port=0, settings=settings) as service,
        Client(service.url, service.key) as client,
    ):
        through_the_service(client)
        tiny_by_hand(plan, data)
        one_of_theirs = timed(lambda: tiny_by_hand(plan, data))
        yield from in_turn(
            timed(lambda: through_the_service(client)), lambda: JOBS * one_of_theirs()
        )


def through_the_service(client: Client) -> None:
    """All jobs, to their ends."""
    jobs = [client.jobs.create({**TINY, "seed": k, "device": "cuda"}) for k in range(JOBS)]
    assert {job.wait().state for job in jobs} == {"succeeded"}


WIDTHS = (64, 256, 256)
WHITENED = 24


def airbench() -> list[Any]:
    """The layers, as a specification has them."""
    layers: list[Any] = [
        {"type": "conv2d", "out_channels": WHITENED, "kernel_size": 2},
        "gelu",
    ]
    conv = {"type": "conv2d", "kernel_size": 3, "padding": 1, "bias": False}
    for width in WIDTHS:
        layers += [
            {**conv, "out_channels": width},
            {"type": "max_pool2d", "kernel_size": 2},
            *("batch_norm2d", "gelu"),
            {**conv, "out_channels": width},
            *("batch_norm2d", "gelu"),
        ]
    return [
        *layers,
        {"type": "max_pool2d", "kernel_size": 3},
        {"type": "linear", "out_features": 10},
    ]


def airbench_by_hand() -> nn.Module:
    """The same network as PyTorch has it."""
    layers: list[nn.Module] = [nn.Conv2d(3, WHITENED, 2), nn.GELU()]
    inside = WHITENED
    for width in WIDTHS:
        layers += [
            nn.Conv2d(inside, width, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            *(nn.BatchNorm2d(width), nn.GELU()),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            *(nn.BatchNorm2d(width), nn.GELU()),
        ]
        inside = width
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(inside, 10))


def images(count: int) -> dict[str, Any]:
    """Made-up ones of CIFAR's shape, with a bright line where the class says."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 10, count)
    x = draw.normal(size=(count, 3, 32, 32))
    x[np.arange(count), 0, 3 * y] += 2.0
    return {"x": x.round(2).tolist(), "y": y.tolist()}


@goal(
    "G3",
    "the network of airbench94 on made-up images, bf16, the engine",
    against="the same by hand, resident, channels-last",
    least=0.95,
)
def large() -> Iterator[Round]:
    """Rounds of 300 iterations."""
    yield from against_hand(device(), count=2048, batch=1024, iterations=300)


def against_hand(on: torch.device, count: int, batch: int, iterations: int) -> Iterator[Round]:
    """Both sides of G3."""
    specification = {
        "dataset": images(count),
        "model": airbench(),
        "loss": {"type": "cross_entropy", "label_smoothing": 0.2},
        "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.85, "nesterov": True},
        "batch_size": batch,
        "iterations": iterations,
        "precision": "bf16",
    }
    plan, data, where = prepared(specification, on)

    def ours() -> list[float]:
        return engine(plan, data, where)

    def theirs() -> list[float]:
        network = airbench_by_hand().to(on)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        update = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.85, nesterov=True)
        return by_hand(plan, data, network, update, wide=True)

    agree(ours(), theirs())
    yield from in_turn(timed(ours), timed(theirs))
