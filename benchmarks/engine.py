"""P3 and P4: iterations of one job by the engine alone, against hand-written PyTorch loops.

All on one thread of this process, warm; seconds are of the processor, so that a busy machine harms
no side. Ours is ``train()``, as a worker drives it, feeding, stop rules, a checkpoint a block and
all.

P3, theirs: what a tutorial writes: ``DataLoader``, ``.item()`` every iteration, ``torch.optim``.
Beside it (``resident_x``) the same by somebody who knows what costs time: the data in one tensor,
batches by index, no ``.item()``. P4, theirs: the resident loop, for a network whose kernels are
what takes the time; there is nothing to win, and nothing must be lost.

Both sides train the same network with the same optimizer on the same rows; the losses at the end
must agree.
"""

import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.goals import Bound, Round, agree, goal, in_turn
from training.engine.loop import train
from training.spec.plan import Plan, Segment
from training.tensors import numerics
from training.tensors.data import Data, load
from training.tensors.numerics import Numerics
from training.validation.check import UNLIMITED, check

LAST = 100
"""Iterations over which losses are compared."""
EQUAL = 0.25
"""The part by which their means may differ: the sides begin with other weights."""
LEAST = 0.1
"""By so much they may in any case."""
MLP: list[Any] = [
    {"type": "linear", "out_features": 128},
    "relu",
    {"type": "linear", "out_features": 10},
]
"""The layers of a tiny job on the digits."""


def mlp_by_hand() -> nn.Module:
    """The same as PyTorch has them."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


@goal(
    "P3",
    "one MLP 64-128-10 job (SGD, batch 64), the engine alone",
    against="textbook loop: DataLoader, .item(), torch.optim",
    least=3.0,
    resident_x=Bound(least=1.3),
)
def tiny() -> Iterator[Round]:
    """Rounds of 5 000 iterations."""
    plan, data = prepared(
        dataset="digits",
        model=MLP,
        iterations=5000,
        batch_size=64,
    )
    ours(plan, data)
    for this in in_turn(
        lambda: ours(plan, data), lambda: loop(plan, data, mlp_by_hand(), textbook(plan, data))
    ):
        beside = loop(plan, data, mlp_by_hand(), resident(plan, data), item=False)
        yield Round(this.ours, this.theirs, figures={"resident_x": beside / this.ours})


@goal(
    "P4",
    "one job whose kernels take the time: CNN on 28×28, batch 128",
    against="the same loop by hand, data resident, no .item()",
    least=1.0,
)
def large() -> Iterator[Round]:
    """Rounds of 200 iterations."""
    plan, data = prepared(**cnn())

    def network() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * 49, 10)),
        )

    ours(plan, data)
    yield from in_turn(
        lambda: ours(plan, data),
        lambda: loop(plan, data, network(), resident(plan, data), item=False),
    )


def cnn() -> dict[str, Any]:
    """The job of P4."""
    conv = {"type": "conv2d", "kernel_size": 3, "padding": 1}
    pool = {"type": "max_pool2d", "kernel_size": 2}
    draw = np.random.default_rng(0)
    y = draw.integers(0, 10, 1024)
    x = draw.normal(size=(1024, 1, 28, 28))
    x[np.arange(1024), 0, 2 * y] += 2.0  # a bright line, where the class says
    return {
        "dataset": {"x": x.round(3).tolist(), "y": y.tolist()},
        "model": [
            *({**conv, "out_channels": 16}, "relu", pool),
            *({**conv, "out_channels": 32}, "relu", pool),
            {"type": "linear", "out_features": 10},
        ],
        "iterations": 200,
        "batch_size": 128,
    }


def prepared(on: Literal["cpu", "cuda"] = "cpu", /, **sections: Any) -> tuple[Plan, Data]:
    """A job made ready."""
    numerics.configure()
    raw = {"loss": "cross_entropy", "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.9}}
    plan = check({**raw, **sections}, UNLIMITED)
    return plan, load(plan, Numerics.on(on))


LOSSES: dict[str, float] = {}
"""Where each side came to."""


def ours(plan: Plan, data: Data) -> float:
    """Seconds of the engine."""
    began = time.process_time()
    losses = trained(plan, data, Numerics.on("cpu"))
    seconds = time.process_time() - began
    LOSSES["ours"] = float(losses[-LAST:].mean())
    return seconds


def trained(plan: Plan, data: Data, where: Numerics) -> NDArray[np.float32]:
    """The engine's losses."""
    return np.concatenate([block.losses for block in train([Segment(plan)], data, where)])


Batches = Iterator[tuple[Tensor, Tensor]]


def textbook(plan: Plan, data: Data) -> Batches:
    """Batches by a DataLoader, for ever."""
    part = data.parts["train"]
    loader = DataLoader(
        TensorDataset(part.x, part.y), batch_size=plan.batch_size, shuffle=True, drop_last=True
    )
    while True:
        yield from loader


def resident(plan: Plan, data: Data, layout: torch.memory_format | None = None) -> Batches:
    """Batches by index, for ever, from where the data lie; ``layout``: of images."""
    part = data.parts["train"]
    x = part.x if layout is None else part.x.contiguous(memory_format=layout)
    while True:
        for rows in torch.randperm(len(part.rows), device=x.device).split(plan.batch_size):
            if len(rows) == plan.batch_size:
                yield x[rows], part.y[rows]


def loop(
    plan: Plan, data: Data, network: nn.Module, batches: Batches, *, item: bool = True
) -> float:
    """Seconds of a loop by hand."""
    began = time.process_time()
    update = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    criterion, losses = nn.CrossEntropyLoss(), list[Any]()
    for _ in range(plan.iterations):
        x, y = next(batches)
        update.zero_grad()
        loss = criterion(network(x), y)
        loss.backward()
        update.step()
        losses.append(loss.item() if item else loss.detach())
    seconds = time.process_time() - began
    there = float(np.mean([float(loss) for loss in losses[-LAST:]]))
    agree(LOSSES["ours"], there, EQUAL, LEAST)
    return seconds
