"""What the tests of the gate share: specifications to break, and what the gate says of them."""

import copy
from typing import Any

import pytest

from tests.specifications import DIGITS_MLP, Specification
from training.spec.mistakes import Mistake, Mistakes
from training.spec.plan import Plan
from training.validation.check import Limits, check

LINEAR = {"type": "linear", "out_features": 10}
CONV = {"type": "conv2d", "out_channels": 4, "kernel_size": 3}
FIELDS = (
    "batch_size, checkpoint_every_seconds, clip_grad_norm, convergence, dataset, deterministic, "
    "device, early_stopping, epochs, evaluate_every, fuse, iterations, loss, metadata, metrics, "
    "model, name, optimizer, precision, prepare, priority, schedule, seed, split, "
    "time_limit_seconds"
)
"""All of a specification, as the gate lists them."""


def mistakes(raw: Any, limits: Limits | None = None) -> list[Mistake]:
    """What is wrong with it."""
    with pytest.raises(Mistakes) as refused:
        check(raw, limits)
    return list(refused.value.mistakes)


def digits(**sections: Any) -> Specification:
    """The digits classifier with some sections changed; ``None`` leaves one out."""
    changed = {**copy.deepcopy(DIGITS_MLP), **sections}
    return {name: value for name, value in changed.items() if value is not None}


def inline(**sections: Any) -> Specification:
    """A small classifier on inline data."""
    return {
        "dataset": {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [0, 1, 0]},
        "model": [{"type": "linear", "out_features": 2}],
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "iterations": 5,
        **sections,
    }


def model(*layers: Any) -> Specification:
    """The digits classifier with other layers."""
    return digits(model={"layers": list(layers)})


def gate(raw: Any) -> Plan | None:
    """The plan, or ``None`` after it was refused with mistakes that point into ``raw``."""
    try:
        return check(raw)
    except Mistakes as refused:
        found = refused.mistakes
    assert found
    for mistake in found:
        assert mistake.code
        assert mistake.message
        assert_leads_into(raw, mistake)
    return None


def assert_leads_into(raw: Any, mistake: Mistake) -> None:
    """The pointer's every step exists, but for the last one of what is missing or not there yet."""
    steps = mistake.pointer.split("/")[1:]
    for i, step in enumerate(steps):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(raw, list):
            assert int(key) < len(raw), mistake
            raw = raw[int(key)]
        elif isinstance(raw, dict) and key in raw:
            raw = raw[key]
        else:
            assert i == len(steps) - 1, mistake
            assert mistake.code in ("missing", "unknown_name", "empty_split"), mistake
