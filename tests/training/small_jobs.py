"""Jobs for the engine's tests: small ones, made ready and run to their end."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.specifications import Specification
from training.engine.blocks import Block, Checkpoint, Evaluation, Outcome
from training.engine.group import Group
from training.engine.job import TrainingJob
from training.engine.loop import group_of, train
from training.spec.plan import Plan, Segment
from training.tensors.data import Data, load
from training.tensors.numerics import Numerics
from training.validation.check import check

FLOAT32 = Numerics(torch.device("cpu"))
FLOAT64 = Numerics(torch.device("cpu"), torch.float64)

OPTIMIZERS: dict[str, Specification] = {
    "sgd": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"type": "adam", "lr": 0.01, "amsgrad": True, "weight_decay": 0.01},
    "adamw": {"type": "adamw", "lr": 0.01, "betas": [0.8, 0.95]},
    "rmsprop": {"type": "rmsprop", "lr": 0.002, "momentum": 0.8, "centered": True, "eps": 1e-3},
    "adagrad": {"type": "adagrad", "lr_decay": 0.01, "initial_accumulator_value": 0.1},
    "nadam": {"type": "nadam", "weight_decay": 0.01, "decoupled_weight_decay": True},
    "radam": {"type": "radam", "lr": 0.01, "weight_decay": 0.01},
    "lion": {"type": "lion", "lr": 0.001, "weight_decay": 0.1},
}
"""One of each, with state to carry along."""

SCHEDULES: dict[str, Specification] = {
    "constant": {"type": "constant", "warmup_iterations": 7},
    "cosine": {"type": "cosine", "warmup_iterations": 3},
    "step": {"type": "step", "step_size": 4, "gamma": 0.7},
    "multi_step": {"type": "multi_step", "milestones": [3, 11], "gamma": 0.3},
    "exponential": {"type": "exponential", "gamma": 0.95},
    "linear": {"type": "linear", "start_factor": 1.0, "end_factor": 0.1, "warmup_iterations": 2},
    "polynomial": {"type": "polynomial", "power": 1.7},
    "one_cycle": {"type": "one_cycle", "max_lr": 0.1, "warmup_iterations": 2},
}


def table(rows: int, features: int, seed: int = 0) -> Any:
    """Made-up numbers, as JSON."""
    return np.random.default_rng(seed).normal(size=(rows, features)).round(3).tolist()


def images(rows: int, *shape: int, seed: int = 0) -> Any:
    """Made-up images, as JSON."""
    return np.random.default_rng(seed).normal(size=(rows, *shape)).round(3).tolist()


def regression(**sections: Any) -> Specification:
    """A small network with tanh on made-up numbers: 40 rows, 3 features, 2 targets."""
    x = np.array(table(40, 3))
    y = np.stack([np.sin(x.sum(1)), x[:, 0] * x[:, 1]], 1)
    return {
        "dataset": {"x": x.tolist(), "y": y.round(3).tolist()},
        "split": {"validation": 0.2, "test": 0.1},
        "model": [
            {"type": "linear", "out_features": 8},
            "tanh",
            {"type": "linear", "out_features": 2},
        ],
        "loss": "mse_loss",
        "optimizer": {"type": "sgd", "lr": 0.05},
        "batch_size": 7,
        "iterations": 40,
        **sections,
    }


def cnn(**sections: Any) -> Specification:
    """A small CNN with all that carries state or noise: 48 images, two channels, three classes."""
    return {
        "dataset": {"x": images(48, 2, 6, 6), "y": [i % 3 for i in range(48)]},
        "split": {"validation": 0.25},
        "model": [
            {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1},
            {"type": "batch_norm2d", "name": "norm"},
            "relu",
            {"type": "max_pool2d", "kernel_size": 2},
            {"type": "dropout", "p": 0.25},
            {"type": "linear", "out_features": 8},
            "batch_norm1d",
            "sigmoid",
            {"type": "dropout", "p": 0.4, "name": "last_drop"},
            {"type": "linear", "out_features": 3},
        ],
        "loss": {"type": "cross_entropy", "label_smoothing": 0.1},
        "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.9},
        "schedule": {"type": "cosine", "warmup_iterations": 5},
        "batch_size": 8,
        "iterations": 40,
        **sections,
    }


def binary(**sections: Any) -> Specification:
    """A small network with one output for two classes."""
    return regression(
        **{
            "dataset": {"x": table(40, 3), "y": ["no" if i % 3 else "yes" for i in range(40)]},
            "model": [
                {"type": "linear", "out_features": 8},
                "tanh",
                {"type": "linear", "out_features": 1},
            ],
            "loss": {"type": "bce_with_logits", "pos_weight": 2.5},
            **sections,
        }
    )


LOSSES: dict[str, Specification] = {
    "cross_entropy": cnn(
        loss={"type": "cross_entropy", "weight": "balanced", "label_smoothing": 0.1}
    ),
    "nll_loss": binary(
        model=[{"type": "linear", "out_features": 2}, "log_softmax"],
        loss={"type": "nll_loss", "weight": [0.4, 1.7]},
    ),
    "bce_with_logits": binary(),
    "mse_loss": regression(),
    "l1_loss": regression(loss="l1_loss"),
    "smooth_l1_loss": regression(loss={"type": "smooth_l1_loss", "beta": 0.3}),
    "huber_loss": regression(loss={"type": "huber_loss", "delta": 0.3}),
}
"""A job with each."""

ADAM = {"type": "adam", "lr": 0.01}
WORDS: dict[str, Specification] = {
    **{f"optimizer {name}": cnn(optimizer=word) for name, word in OPTIMIZERS.items()},
    **{f"schedule {name}": cnn(schedule=word) for name, word in SCHEDULES.items()},
    **{f"loss {name}": job for name, job in LOSSES.items()},
    "clip_grad_norm": cnn(clip_grad_norm=0.3),
    "precision bf16": cnn(precision="bf16", optimizer=ADAM),
    "precision bf16, clipped": binary(precision="bf16", optimizer=ADAM, clip_grad_norm=0.05),
}
"""A job with every word that changes how numbers are computed, so that none is forgotten where bits
must be equal."""


@dataclass(frozen=True)
class Job:
    """A job made ready."""

    plan: Plan
    data: Data
    numerics: Numerics

    def training(self) -> TrainingJob:
        """A process that trains it."""
        return TrainingJob(self.plan, self.data, self.numerics)


def ready(specification: Specification, numerics: Numerics | None = None) -> Job:
    """Checked, loaded, prepared."""
    plan = check(specification)
    numerics = numerics or Numerics.on("cpu", plan.spec.precision)
    return Job(plan, load(plan, numerics), numerics)


@dataclass(frozen=True)
class Ended:
    """All that a job left behind."""

    losses: NDArray[np.float32]
    evaluations: list[Evaluation]
    outcome: Outcome
    checkpoints: list[Checkpoint]

    def bits(self) -> tuple[bytes, list[Evaluation], str, int, Any, bytes, dict[str, bytes]]:
        """What two runs of the same job must share."""
        end = self.outcome
        return (
            self.losses.tobytes(),
            self.evaluations,
            end.reason,
            end.iteration,
            end.result,
            bits(end.weights.parameters),
            {name: bits(tensor) for name, tensor in end.weights.buffers.items()},
        )


def bits(tensor: Tensor) -> bytes:
    """A tensor's content, for comparisons that know NaN and −0."""
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def gathered(blocks: list[Block]) -> Ended:
    """The series of all blocks, which must follow one another."""
    for before, after in itertools.pairwise(blocks):
        assert after.first == before.first + len(before.losses) == before.checkpoint.iteration
        assert before.outcome is None
    outcome = blocks[-1].outcome
    assert outcome is not None
    return Ended(
        np.concatenate([block.losses for block in blocks]),
        [evaluation for block in blocks for evaluation in block.evaluations],
        outcome,
        [block.checkpoint for block in blocks],
    )


def trained(job: Job, resume: Checkpoint | None = None) -> Ended:
    """The job through ``train``, to its end."""
    return gathered(list(train([Segment(job.plan)], job.data, job.numerics, resume)))


def stepped(job: Job, seconds: float = 0.0, start: Checkpoint | None = None) -> Ended:
    """The job block by block; 0 seconds is one iteration a block."""
    training = job.training()
    group = group_of([training])
    blocks = group.blocks([start or training.beginning()], seconds)
    while blocks[-1].outcome is None:
        blocks += group.blocks([blocks[-1].checkpoint], seconds)
    return gathered(blocks)


def side_by_side(
    jobs: list[Job],
    seconds: float,
    prepare: Callable[[Group, Sequence[Checkpoint]], object] | None = None,
) -> list[Ended]:
    """The jobs to their ends; each leaves when it ends. ``prepare``: what is done with each group
    before it computes a block."""
    blocks: dict[int, list[Block]] = {k: [] for k in range(len(jobs))}
    members = {k: job.training() for k, job in enumerate(jobs)}
    now = {k: training.beginning() for k, training in members.items()}
    while members:
        group = group_of(list(members.values()))
        if prepare is not None:
            prepare(group, list(now.values()))
        for k, block in zip(list(members), group.blocks(list(now.values()), seconds), strict=True):
            blocks[k].append(block)
            now[k] = block.checkpoint
            if block.outcome is not None:
                del members[k], now[k]
    return [gathered(found) for found in blocks.values()]


Bits = tuple[bytes, ...]


def course(group: Group, iterations: int, start: Checkpoint | None = None) -> list[Bits]:
    """Of the only job of a group: loss and state of every iteration, as bits."""
    now, found = start or group.jobs[0].beginning(), list[Bits]()
    for n in range(iterations):
        (block,) = group.advance([now], [n + 1], None)
        now = block.checkpoint
        state = now.state
        rest = [tensor for _, tensor in sorted((state.buffers | state.slots).items())]
        found.append((block.losses.tobytes(), *map(bits, (state.parameters, *rest))))
    return found
