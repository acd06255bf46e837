"""The jobs that two trees train: twenty specifications, a group, and two that have descendants.

`SPECIFICATIONS` are trained as they stand. Together they say every word of the catalogue
(`unused_words` names what they leave out), in both numerics classes, on bundled, inline and
uploaded data. `GROUP` is posted as one batch of jobs that are trained side by side. `BASES` are
forked, cancelled, retried, paused, changed and killed (`scenarios`). Each takes up to three seconds
on one core. `python -m benchmarks.same_bits` runs them and prints what it found.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.same_bits.fused_jobs import FUSED
from benchmarks.same_bits.parts import SPLIT, Specification, conv2d, linear
from benchmarks.same_bits.sequential_jobs import SEQUENTIAL

SPECIFICATIONS = FUSED | SEQUENTIAL

GROUP: list[Specification] = [
    {
        "dataset": "digits",
        "split": SPLIT,
        "model": [linear(24), "relu", {"type": "dropout", "p": 0.1 + 0.02 * number}, linear(10)],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": 0.001 * (1 + number)},
        "schedule": {"type": "cosine", "warmup_iterations": number},
        "batch_size": 32,
        "iterations": 600 + 40 * number,
        "seed": number,
    }
    for number in range(16)
]
"""Two processes share it, so that each trains eight side by side."""
LEAST_TOGETHER = 8

BASES: dict[str, Specification] = {
    # No checkpoint before its end: what goes on from it begins at iteration 0, and comes through
    # every segment of its course. Losses that are 0 would hide a difference: so the small rate.
    "mlp": {
        "dataset": "iris",
        "split": SPLIT,
        "model": [linear(16), "tanh", {"type": "dropout", "p": 0.1}, linear(3)],
        "loss": "cross_entropy",
        "optimizer": {"type": "adam", "lr": 0.001},
        "schedule": {"type": "cosine", "eta_min": 0.0001},
        "checkpoint_every_seconds": 3600.0,
        "evaluate_every": 500,
        "batch_size": 32,
        "iterations": 9_000,
    },
    "cnn": {
        "dataset": "digits",
        "split": SPLIT,
        "model": [conv2d(4), "batch_norm2d", "relu", {"type": "dropout", "p": 0.2}, linear(10)],
        "loss": "cross_entropy",
        "optimizer": {"type": "sgd", "lr": 0.02, "momentum": 0.9},
        "schedule": {"type": "cosine", "eta_min": 0.001},
        "checkpoint_every_seconds": 0.2,
        "evaluate_every": 500,
        "batch_size": 32,
        "iterations": 2_400,
    },
}

KINDS = {
    "layers": "model",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "metrics": "metrics",
    "inits": "model",
    "preparations": "prepare",
    "datasets": "dataset",
}
"""Lists of the catalogue, and the section of a specification that says their words."""


def unused_words(catalog: dict[str, Any]) -> list[str]:
    """The words of a catalogue (the document of `/v1/catalog`) that no job here says."""
    jobs = [*SPECIFICATIONS.values(), *GROUP, *BASES.values()]
    said = {section: set(spoken([job.get(section) for job in jobs])) for section in KINDS.values()}
    return [
        f"{kind}: {word['name']}"
        for kind, section in KINDS.items()
        for word in catalog[kind]
        if word["name"] not in said[section]
    ]


def spoken(value: Any) -> Iterator[str]:
    """The words within a section: strings that stand alone or in a list, and every `type`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from spoken(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "type" or not isinstance(inner, str):
                yield from spoken(inner)
