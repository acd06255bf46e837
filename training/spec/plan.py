"""The plan of a job: everything that follows from a specification before anything is computed.

``training.validation.check`` makes it. Imports no torch.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from training.catalog import Buffer, Classes, Facts, Parameter, Shape, ShapeError
from training.catalog.layers import Embedding, LayerConfig, Residual
from training.catalog.metrics import MetricConfig
from training.spec.job_spec import JobSpec, Model


@dataclass(frozen=True)
class LayerPlan:
    """One layer in its place: ``path`` is its name, or its index as in ``torch.nn.Sequential``.

    ``layers``: those inside a residual block, whose paths begin with the block's.
    """

    path: str
    word: LayerConfig
    input_shape: Shape
    output_shape: Shape
    layers: tuple["LayerPlan", ...] = ()

    @property
    def parameters(self) -> dict[str, Parameter]:
        """By ``state_dict`` name."""
        owned = self.word.parameters(self.input_shape)
        return {f"{self.path}.{name}": parameter for name, parameter in owned.items()}

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(p.shape) for p in self.parameters.values())

    @property
    def buffers(self) -> dict[str, Buffer]:
        """By ``state_dict`` name."""
        owned = self.word.buffers(self.input_shape)
        return {f"{self.path}.{name}": buffer for name, buffer in owned.items()}


class LayerShapeError(ShapeError):
    """The layer at ``place`` does not take what comes out of the one before.

    ``place``: the steps that lead to it from the list of layers.
    """

    def __init__(self, place: tuple[int | str, ...], message: str) -> None:
        self.place = place
        super().__init__(message)


def infer_shapes(model: Model, shape: Shape) -> tuple[LayerPlan, ...]:
    """The layers in their places, for inputs of this shape; ``Misfit`` where one does not fit."""
    return infer_layers(model.layers, shape, "", ())


def infer_layers(
    words: Sequence[LayerConfig], shape: Shape, prefix: str, place: tuple[int | str, ...]
) -> tuple[LayerPlan, ...]:
    """The layers of the model or of a block, whose path is ``prefix`` and which is at ``place``."""
    layers = []
    for i, word in enumerate(words):
        path, here = prefix + (word.name or str(i)), (*place, i)
        block = word.layers if isinstance(word, Residual) else []
        inside = infer_layers(block, shape, f"{path}.", (*here, "layers"))
        try:
            out = word.output_shape(shape)
            word.parameters(shape)
        except ShapeError as error:
            raise LayerShapeError(here, f"layer {path} ({word.type}): {error}") from error
        layers.append(LayerPlan(path, word, shape, out, inside))
        shape = out
    return tuple(layers)


def walk(layers: Sequence[LayerPlan]) -> Iterator[LayerPlan]:
    """The layers and those inside them, in the order of their paths."""
    for layer in layers:
        yield layer
        yield from walk(layer.layers)


class Change(NamedTuple):
    """An intervention: from update ``iteration`` on another base rate, or another end."""

    iteration: int
    lr: float | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class Plan:
    """What will run. Counts are examples, iterations, or numbers; shapes leave out the batch.

    ``changes``: what was changed while it ran. ``scheduled``: the iterations that the schedule was
    made for, where that was changed.
    """

    spec: JobSpec
    facts: Facts
    layers: tuple[LayerPlan, ...]
    rows: dict[str, int]
    batch_size: int
    iterations: int
    evaluate_every: int
    metrics: tuple[MetricConfig, ...]

    changes: tuple[Change, ...] = ()
    scheduled: int | None = None

    def changed(self, changes: tuple[Change, ...]) -> "Plan":
        """The plan under these interventions, oldest first. They rescale no schedule."""
        ends = [change.iterations for change in changes if change.iterations is not None]
        end = ends[-1] if ends else self.iterations
        return replace(self, changes=changes, iterations=end, scheduled=self.iterations)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every trainable tensor, in the order of the layers."""
        return {name: p for layer in self.layers for name, p in layer.parameters.items()}

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(math.prod(p.shape) for p in self.parameters.values())

    @property
    def preparation(self) -> Literal["standardize", "min_max", "scale", "none"]:
        """How the inputs are prepared: as the specification says, else as fits the data.

        Images are scaled to 0 … 1, tables standardised; inline data, and what an embedding looks
        up, are left alone.
        """
        if self.spec.prepare is not None:
            return self.spec.prepare
        if self.facts.inline or isinstance(self.layers[0].word, Embedding):
            return "none"
        return "standardize" if self.facts.image_scale is None else "scale"

    @property
    def task(self) -> Literal["classification", "regression"]:
        """What the target makes of the job."""
        return "classification" if isinstance(self.facts.target, Classes) else "regression"

    @property
    def validation_series(self) -> tuple[str, ...]:
        """The names of what is recorded at every evaluation."""
        if self.rows["validation"] == 0:
            return ()
        return ("validation_loss", *(f"validation_{metric.type}" for metric in self.metrics))

    @property
    def signature(self) -> str:
        """Equal for jobs whose iterations do the same work, whatever they learn from it."""
        spec = self.spec
        work = {
            "layers": [layer.word.model_dump(mode="json") for layer in self.layers],
            "input": self.facts.input_shape,
            "loss": spec.loss.type,
            "optimizer": [spec.optimizer.type, spec.optimizer.slots],
            "batch": self.batch_size,
            "evaluation": [self.evaluate_every, self.rows["validation"]],
            "precision": spec.precision,
        }
        return digest(work)

    def epoch(self, iteration: int) -> float:
        """How many times the training data have been seen after so many iterations."""
        return iteration * self.batch_size / self.rows["train"]

    def learning_rate(self, n: int) -> float:
        """Of update ``n``, in float64."""
        rates = [c.lr for c in self.changes if c.lr is not None and c.iteration <= n]
        lr = rates[-1] if rates else self.spec.optimizer.lr
        return self.spec.schedule.learning_rate(lr, n, self.scheduled or self.iterations)

    def evaluates_at(self, n: int) -> bool:
        """Whether the validation data are evaluated before update ``n``, or after the last one."""
        due = n == self.iterations or (n > 0 and n % self.evaluate_every == 0)
        return due and self.rows["validation"] > 0


def digest(value: Any) -> str:
    """A short name for a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


class Segment(NamedTuple):
    """A part of a job: ``plan`` rules its iterations before ``until`` (``None``: all that follow).
    A fork has a segment for each job that it descends from, and its own."""

    plan: Plan
    until: int | None = None
