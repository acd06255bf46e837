"""How long a job is said to take, where nothing like it was seen: against the engine itself."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch

from app.services.jobs.estimate import calibrated
from tests.specifications import ONE_WEIGHT, Specification
from training.engine.loop import train
from training.spec.plan import Plan, Segment
from training.tensors.data import load
from training.tensors.numerics import Numerics
from training.validation.check import check

PERCEPTRON = [{"type": "linear", "out_features": 8}, "relu", {"type": "linear", "out_features": 1}]
NOISY = [*PERCEPTRON[:2], {"type": "dropout", "p": 0.5}, PERCEPTRON[2]]


def table(rows: int, width: int = 1) -> Specification:
    """Data that are written out."""
    x = [[float(i * j % 7) for j in range(width)] for i in range(rows)]
    return {"x": x, "y": [[float(i % 5)] for i in range(rows)]}


def planned(**changes: Any) -> Plan:
    return check(ONE_WEIGHT | {"batch_size": 10**6, "iterations": 6} | changes)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measured(plan: Plan) -> float:
    """Seconds an iteration: of this process alone, for others may be at work here too."""
    numerics = Numerics.on("cpu")
    data = load(plan, numerics)
    list(islice(train([Segment(plan)], data, numerics), 2))  # libraries set themselves up
    began = time.process_time()
    done = sum(len(block.losses) for block in train([Segment(plan)], data, numerics))
    return (time.process_time() - began) / done


JOBS: dict[str, dict[str, Any]] = {
    "one row": {"dataset": table(1)},
    "two rows": {"dataset": table(2)},
    "a hundred rows": {"dataset": table(100)},
    "rows that are wide": {"dataset": table(100, 50), "batch_size": 10**5},
    "noise": {"dataset": table(100, 8), "model": NOISY, "batch_size": 10**5},
    "evaluations": {
        "dataset": table(20_000),
        "model": PERCEPTRON,
        "split": {"validation": 0.9},
        "batch_size": 2,
        "evaluate_every": 1,
        "iterations": 60,
    },
    "an epoch of which little is used": {
        "dataset": table(50_000),
        "batch_size": 2,
        "iterations": 4,
    },
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("job", JOBS)
def test_what_is_promised_has_the_right_order_of_magnitude(job: str) -> None:
    plan = planned(**JOBS[job])
    promised = calibrated(plan, "cpu")
    took = measured(plan)
    assert promised / 10 < took < promised * 10


def test_what_a_cpu_draws_costs_as_much_beside_a_gpu() -> None:
    for changes in ({}, {"model": NOISY}):
        plan = planned(dataset=table(2), **changes)
        assert calibrated(plan, "cuda") > 0.04


def test_a_full_batch_is_neither_drawn_nor_fetched() -> None:
    full, drawn = (planned(dataset=table(5000), batch_size=size) for size in ("full", 5000))
    assert calibrated(full, "cuda") < calibrated(drawn, "cuda")
