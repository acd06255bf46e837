"""Iterations a second of ``train()`` against hand-written PyTorch loops, all on one thread.

Textbook: DataLoader, ``.item()`` every iteration, ``torch.optim``. Resident: the same with the data
in one tensor and no ``.item()``. The three take turns, and the time is the processor's, so that a
busy machine harms no side; warm-up and, for ours, tracing are inside the measured time.

    python -m benchmarks.engine
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from training import numerics
from training.check import check
from training.data import Data, load
from training.numerics import Numerics
from training.plan import Plan
from training.run import train

ROUNDS = 5
MLP = [{"type": "linear", "out_features": 128}, "relu", {"type": "linear", "out_features": 10}]
CNN = [
    {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
    "batch_norm2d",
    "relu",
    {"type": "max_pool2d", "kernel_size": 2},
    {"type": "linear", "out_features": 10},
]
SGD = {"type": "sgd", "lr": 0.05, "momentum": 0.9}
ADAM = {"type": "adam", "lr": 0.001}
CASES: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("MLP 64-128-10, SGD momentum", MLP, SGD, 1000),
    ("MLP 64-128-10, Adam", MLP, ADAM, 1000),
    ("CNN conv-norm-pool, SGD momentum", CNN, SGD, 300),
]


def module(name: str) -> nn.Module:
    """The same network by torch.nn."""
    if name.startswith("MLP"):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def optimizer(network: nn.Module, word: dict[str, Any]) -> torch.optim.Optimizer:
    """The same optimizer by torch.optim."""
    arguments = {name: value for name, value in word.items() if name != "type"}
    kinds: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    made: torch.optim.Optimizer = kinds[word["type"]](network.parameters(), **arguments)
    return made


def ours(plan: Plan, data: Data, name: str, word: dict[str, Any]) -> None:
    """The engine, as a worker drives it."""
    for _ in train(plan, data, Numerics.on("cpu")):
        pass


def textbook(plan: Plan, data: Data, name: str, word: dict[str, Any]) -> None:
    """What a tutorial writes."""
    part, network = data.parts["train"], module(name)
    batches = DataLoader(TensorDataset(part.x, part.y), batch_size=64, shuffle=True, drop_last=True)
    update, criterion, losses = optimizer(network, word), nn.CrossEntropyLoss(), list[float]()
    while len(losses) < plan.iterations:
        for x, y in batches:
            update.zero_grad()
            loss = criterion(network(x), y)
            loss.backward()
            update.step()
            losses.append(loss.item())
            if len(losses) == plan.iterations:
                break


def resident(plan: Plan, data: Data, name: str, word: dict[str, Any]) -> None:
    """The same by somebody who knows what costs time."""
    part, network = data.parts["train"], module(name)
    update, criterion, losses = (
        optimizer(network, word),
        nn.CrossEntropyLoss(),
        list[torch.Tensor](),
    )
    while len(losses) < plan.iterations:
        for rows in torch.randperm(len(part.rows)).split(64)[:-1]:
            update.zero_grad()
            loss = criterion(network(part.x[rows]), part.y[rows])
            loss.backward()
            update.step()
            losses.append(loss.detach())
            if len(losses) == plan.iterations:
                break


SIDES: dict[str, Callable[[Plan, Data, str, dict[str, Any]], None]] = {
    "train()": ours,
    "textbook": textbook,
    "resident": resident,
}


def measure(name: str, layers: list[Any], word: dict[str, Any], iterations: int) -> None:
    """One table."""
    plan = check(
        {
            "dataset": "digits",
            "model": layers,
            "loss": "cross_entropy",
            "optimizer": word,
            "batch_size": 64,
            "iterations": iterations,
        }
    )
    data = load(plan, Numerics.on("cpu"))
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side, run in SIDES.items():
            began = time.process_time()
            run(plan, data, name, word)
            rates[side].append(iterations / (time.process_time() - began))
    print(f"\n{name}, batch 64, {iterations} iterations, {ROUNDS} rounds")
    for side, values in rates.items():
        ratios = [mine / other for mine, other in zip(rates["train()"], values, strict=True)]
        print(
            f"  {side:10} {statistics.median(values):8.0f} iterations/s "
            f"({min(values):.0f} to {max(values):.0f})"
            + (f"   train() is {spread(ratios)} times as fast" if side != "train()" else "")
        )


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """All tables."""
    numerics.configure()
    print(f"torch {torch.__version__}, one thread, {numerics.processor()}")
    for case in CASES:
        measure(*case)


if __name__ == "__main__":
    main()
