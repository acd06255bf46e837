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

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.engine import (
    EQUAL,
    LAST,
    LEAST,
    MLP,
    Batches,
    mlp_by_hand,
    prepared,
    resident,
    trained,
)
from benchmarks.goals import Missing, Round, agree, goal, in_turn, timed
from fallline import Client
from fallline.local.service import LocalService
from training.spec.plan import Plan
from training.tensors.data import Data
from training.tensors.numerics import Numerics

Device = Literal["cpu", "cuda"]
JOBS, SMOOTHING = 128, 0.2
TINY: dict[str, Any] = {
    "dataset": "digits",
    "model": MLP,
    "loss": "cross_entropy",
    "optimizer": {"type": "adam", "lr": 1e-3},
    "batch_size": 64,
    "iterations": 2000,
}


def gpu() -> Device:
    """The device; ``Missing`` without."""
    if not torch.cuda.is_available():
        raise Missing("there is no CUDA device")
    return "cuda"


def by_hand(
    plan: Plan, batches: Batches, network: nn.Module, update: torch.optim.Optimizer
) -> list[float]:
    """The losses of a loop by hand; those of layers in bfloat16 are transferred at the end, others
    one by one."""
    wide, losses = plan.spec.precision == "bf16", list[Any]()
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING if wide else 0.0)
    for x, y in itertools.islice(batches, plan.iterations):
        update.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=wide):
            loss = criterion(network(x), y)
        loss.backward()
        update.step()
        losses.append(loss.detach() if wide else loss.item())
    return [float(one) for one in losses]


def tiny_by_hand(plan: Plan, data: Data) -> list[float]:
    """One job of G1's other side."""
    network = mlp_by_hand().to(data.parts["train"].x.device)
    update = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    return by_hand(plan, resident(plan, data), network, update)


def last(losses: Sequence[float] | NDArray[np.float32]) -> float:
    """What a side came to."""
    return float(np.mean(losses[-LAST:]))


@goal("G1", "one tiny MLP, Adam, the engine", against="fused Adam, resident, .item()", least=5.0)
def one() -> Iterator[Round]:
    """Rounds of 2 000 iterations."""
    on = gpu()
    plan, data = prepared(on, **TINY)
    where = Numerics.on(on)
    agree(last(trained(plan, data, where)), last(tiny_by_hand(plan, data)), EQUAL, LEAST)
    yield from in_turn(
        timed(lambda: trained(plan, data, where)), timed(lambda: tiny_by_hand(plan, data))
    )


@goal(
    "G2",
    "128 tiny MLPs through the service, every loss durable",
    against="the loop of G1, one job after another",
    least=100.0,
)
def many() -> Iterator[Round]:
    """Rounds of 128 jobs of ours; theirs are as many times one."""
    plan, data = prepared(gpu(), **TINY)
    settings = {"FALLLINE_WORKER_PROCESSES": "1"}
    with (
        tempfile.TemporaryDirectory(prefix="fl-bench-") as folder,
        LocalService(Path(folder) / "home", port=0, settings=settings) as service,
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
    yield from against_hand(gpu(), count=2048, batch=1024, iterations=300)


def against_hand(on: Device, count: int, batch: int, iterations: int) -> Iterator[Round]:
    """Both sides of G3."""
    plan, data = prepared(
        on,
        dataset=images(count),
        model=airbench(),
        loss={"type": "cross_entropy", "label_smoothing": SMOOTHING},
        optimizer={"type": "sgd", "lr": 0.05, "momentum": 0.85, "nesterov": True},
        batch_size=batch,
        iterations=iterations,
        precision="bf16",
    )
    where = Numerics.on(on, plan.spec.precision)

    def theirs() -> list[float]:
        network = airbench_by_hand().to(on)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        update = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.85, nesterov=True)
        return by_hand(plan, resident(plan, data, torch.channels_last), network, update)

    agree(last(trained(plan, data, where)), last(theirs()), EQUAL, LEAST)
    yield from in_turn(timed(lambda: trained(plan, data, where)), timed(theirs))
