"""The job specification: what a client posts, what is stored, what the loop reads.

One frozen value crosses every floor: validated by the API, kept as JSON, rebuilt by the worker.
Imports no torch.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from training.catalog import Layer, Loss, Metric, Optimizer, Schedule
from training.catalog.base import MAX_INT64, Form, Section
from training.catalog.numbers import FLOAT64, Positive
from training.catalog.preparations import Prepare
from training.catalog.schedules import ConstantRate

Count = Annotated[int, Field(ge=1, le=MAX_INT64)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1), FLOAT64]
Seed = Annotated[int, Field(ge=0, le=MAX_INT64)]
JobName = Annotated[
    str,
    Field(max_length=100),
    Form(
        r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        "may hold letters, digits, `.`, `_` and `-` only, and must not begin with a sign",
    ),
]


class InlineData(Section):
    """Small data in the specification itself: one entry of ``x`` and of ``y`` an example.

    What is inside is checked by ``training.datasets.inline``, which knows how to point at one
    number.
    """

    x: list[Any]
    y: list[Any]


class Split(Section):
    """The shares of the data held back, and the seed that chooses them (stratified by class)."""

    validation: Share = 0.0
    test: Share = 0.0
    seed: Seed = 0


Layers = Annotated[list[Layer], Field(min_length=1)]


class Model(Section):
    """Layers, applied in order."""

    layers: Layers


class EarlyStopping(Section):
    """Stop after ``patience`` evaluations in a row without an improvement over ``min_delta``.

    ``restore_best``: the model that is kept is the one of the best evaluation.
    """

    metric: str = "validation_loss"
    patience: Count
    min_delta: Annotated[float, Field(ge=0), FLOAT64] = 0.0
    restore_best: bool = True


class Convergence(Section):
    """Stop when the losses of the last ``window`` + 1 iterations lie within ``tolerance``."""

    tolerance: Annotated[float, Field(gt=0), FLOAT64]
    window: Annotated[int, Field(ge=1, le=10_000)] = 10


def layers_alone(value: Any) -> Any:
    """A bare list of layers stands for ``{"layers": list}``."""
    return {"layers": value} if isinstance(value, list) else value


STORED = re.compile(r"ds_[0-9a-z]{1,64}")
"""What an id of uploaded data looks like; no bundled name does."""


def dataset_kind(value: Any) -> str:
    """Which arm of the ``dataset`` union a value belongs to."""
    return "name" if isinstance(value, str) else "inline"


Dataset = Annotated[
    Annotated[str, Tag("name")] | Annotated[InlineData, Tag("inline")], Discriminator(dataset_kind)
]
Priority = Annotated[int, Field(ge=-1000, le=1000)]
Metadata = Annotated[dict[str, str], Field(max_length=50)]
Precision = Literal["fp32", "bf16", "auto"]


class JobSpec(Section):
    """One training job. Exactly one of ``iterations`` and ``epochs`` is given.

    ``clip_grad_norm``: a gradient longer than this is shortened to it before the update.
    ``precision``: ``bf16`` computes layers in bfloat16 and keeps weights and loss in float32;
    ``auto`` is ``bf16`` on a CUDA device that has it. ``deterministic`` and ``fuse: never``: the
    job is computed alone, in the numerics class *sequential*. ``time_limit_seconds``: of running,
    over all attempts.
    """

    name: JobName | None = None
    dataset: Dataset
    split: Split = Split()
    prepare: Prepare | None = None
    model: Annotated[Model, BeforeValidator(layers_alone, json_schema_input_type=Model | Layers)]
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule = ConstantRate()
    batch_size: BatchSize | Literal["full"] = 32
    iterations: Count | None = None
    epochs: Count | None = None
    seed: Seed = 0
    metrics: Annotated[list[Metric], Field(max_length=50)] | None = None
    evaluate_every: Count | None = None
    early_stopping: EarlyStopping | None = None
    convergence: Convergence | None = None
    clip_grad_norm: Positive | None = None
    precision: Precision = "fp32"
    deterministic: bool = False
    fuse: Literal["auto", "never"] = "auto"
    time_limit_seconds: Annotated[float, Field(gt=0), FLOAT64] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_seconds: Annotated[float, Field(ge=0), FLOAT64] = 10.0
    priority: Priority = 0
    metadata: Metadata = Field(default_factory=dict)
