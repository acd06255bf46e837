"""Data on its way to the device: read, split, prepared. What is learned from data to prepare them
(means, scales) comes from the training split alone and is kept with the model.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.catalog import Classes
from training.datasets import inline, uploaded
from training.datasets.bundled import bundled
from training.datasets.splits import HELD_BACK, evenly, without_examples
from training.datasets.uploaded import SCANNED_ROWS, Encoded, Opener, nothing_opens
from training.spec.job_spec import STORED
from training.spec.plan import Plan
from training.tensors.numerics import Numerics
from training.tensors.randomness import permutation
from training.validation.layer_checks import embedding, unfit

Floats = NDArray[np.float64]

PREPARED_VALUES = 1 << 20
"""Numbers that are prepared at once."""


class UnfitData(ValueError):
    """The data cannot be trained on as the specification says; the message says where and why."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Preparation:
    """An affine map of inputs, and of regression targets: (value − shift) / scale.

    ``x_fill`` stands in for numbers that are missing (NaN). Arrays broadcast against one example.
    float64 throughout; rounded once, on the device.
    """

    x_shift: Floats
    x_scale: Floats
    y_shift: Floats
    y_scale: Floats
    x_fill: Floats

    def inputs(self, x: Floats) -> Floats:
        """Raw inputs [N, *shape] as the network sees them."""
        there: Floats = np.where(np.isnan(x), self.x_fill, x)
        return (there - self.x_shift) / self.x_scale

    def targets(self, y: Floats) -> Floats:
        """Raw regression targets [N, width] as the loss sees them."""
        return (y - self.y_shift) / self.y_scale


@dataclass(frozen=True)
class Part:
    """One split, resident on the device: x [N, *shape], y [N] or [N, width], and its raw rows."""

    x: Tensor
    y: Tensor
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """The splits of a job's data set that have any row, and how they were prepared.

    ``class_counts``: examples of each class in the training split; empty where the target is none.
    """

    parts: dict[str, Part]
    preparation: Preparation
    class_counts: NDArray[np.int64]


def load(plan: Plan, numerics: Numerics, arrays: Opener = nothing_opens) -> Data:
    """The job's data, split, prepared and resident on the device."""
    x, y = raw(plan, arrays)
    refuse_strangers(plan, x)
    rows = split(plan, y)
    preparation = fit(plan, x, y, rows["train"])
    counts = class_counts(plan, y[rows["train"]])
    if plan.task == "regression":
        y = preparation.targets(y)
    hold = numerics.integers if plan.task == "classification" else numerics.floats
    parts = {
        name: Part(resident(x, index, preparation, numerics), hold(y[index]), index)
        for name, index in rows.items()
        if len(index)
    }
    return Data(parts, preparation, counts)


def class_counts(plan: Plan, y: NDArray[Any]) -> NDArray[np.int64]:
    """Examples of each class that are trained on; ``UnfitData`` where there are none of one (which
    nobody had counted when the specification was checked)."""
    if not isinstance(plan.facts.target, Classes):
        return np.zeros(0, dtype=np.int64)
    labels = plan.facts.target.labels
    counts = np.bincount(y, minlength=len(labels))
    absent = [label for label, count in zip(labels, counts, strict=True) if not count]
    if absent:
        raise UnfitData("class_absent", f"the split {without_examples(absent)}")
    return counts


def refuse_strangers(plan: Plan, x: Floats | Encoded) -> None:
    """``UnfitData`` when the first layer looks up numbers that it has no row for."""
    word = embedding(plan.layers)
    if word is None:
        return
    for begin in range(0, len(x), SCANNED_ROWS):
        for (row, *place), sentence in unfit(x[begin : begin + SCANNED_ROWS], word.num_embeddings):
            where = ", ".join(str(i) for i in (begin + row, *place))
            said = f"the data do not fit the embedding: x[{where}] = {sentence}"
            raise UnfitData("unfit_data", said)


def raw(plan: Plan, arrays: Opener = nothing_opens) -> tuple[Floats | Encoded, NDArray[Any]]:
    """Unprepared data: x [N, *shape] float64; y [N] int64 or [N, width] float64.

    Rows of an uploaded table (opened by ``arrays``) are made when they are asked for.
    """
    dataset, facts = plan.spec.dataset, plan.facts
    if not isinstance(dataset, str):
        return inline.arrays(dataset, facts.target)
    if not STORED.fullmatch(dataset):
        return bundled(dataset, facts)
    opened = arrays(dataset)
    return Encoded(opened, facts.columns), uploaded.target(opened, facts.target)


def resident(
    x: Floats | Encoded, rows: NDArray[np.int64], preparation: Preparation, numerics: Numerics
) -> Tensor:
    """Rows, prepared and on the device, made a bounded number at a time."""
    shape = preparation.inputs(x[rows[:1]]).shape[1:]
    held = numerics.zeros(len(rows), *shape)
    size = max(1, PREPARED_VALUES // max(1, math.prod(shape)))
    for begin in range(0, len(rows), size):
        part = preparation.inputs(x[rows[begin : begin + size]])
        held[begin : begin + size] = numerics.floats(part)
    return held


def example(plan: Plan, x: Floats | Encoded, y: NDArray[Any], row: int) -> dict[str, Any]:
    """One row as it came: what ``predict`` takes, and what is true."""
    facts = plan.facts
    truth = facts.target.labels[y[row]] if isinstance(facts.target, Classes) else y[row].tolist()
    if isinstance(x, Encoded):
        given: Any = uploaded.shown(x.arrays, facts.columns, row)
    else:
        given = x[row].tolist()
    return {"row": row, "input": given, "target": truth}


def split(plan: Plan, y: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Row numbers of each split, ascending: a function of ``split.seed`` alone.

    Classes are dealt evenly: with the rows in a random order sorted by class, every held-back split
    takes rows at equal distances from those that are left, so each class gets its share of them to
    within one row.
    """
    order = permutation(len(y), plan.spec.split.seed, "split")
    if plan.task == "classification":
        order = order[np.argsort(y[order], kind="stable")]
    rows = {}
    for name in HELD_BACK:
        taken = evenly(len(order), plan.rows[name])
        rows[name], order = np.sort(order[taken]), order[~taken]
    return {"train": np.sort(order), "validation": rows["validation"], "test": rows["test"]}


def fit(plan: Plan, x: Floats | Encoded, y: NDArray[Any], rows: NDArray[np.int64]) -> Preparation:
    """What the training ``rows`` say about scale; constant features keep theirs.

    Images are prepared a channel at a time; categories of a table stay 0 and 1.
    """
    method, largest = plan.preparation, plan.facts.image_scale
    zero, one = np.zeros(1), np.ones(1)
    standardised = method == "standardize" and plan.task == "regression"
    y_shift, y_scale = standard(y[rows], (0,)) if standardised else (zero, one)
    if isinstance(x, Encoded):
        x_shift, x_scale, x_fill = uploaded.fitted(x, rows, method)
        return Preparation(x_shift, x_scale, y_shift, y_scale, x_fill)
    x = x[rows]
    axes = (0, *range(2, x.ndim)) if x.ndim > 2 else (0,)
    if method == "standardize":
        x_shift, x_scale = standard(x, axes)
    elif method == "min_max":
        x_shift, width = x.min(axes, keepdims=True)[0], extent(x, axes)
        x_scale = np.where(width > 0, width, 1.0)
    else:
        x_shift = zero
        x_scale = one * largest if method == "scale" and largest else one
    return Preparation(x_shift, x_scale, y_shift, y_scale, zero)


def standard(values: Floats, axes: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Mean and standard deviation over ``axes``, shaped to broadcast against one example."""
    deviation = values.std(axes, keepdims=True)[0]
    # Of a constant such as 0.1 the computed deviation is rounding error, not 0.
    varies = (deviation > 0) & (extent(values, axes) > 0)
    return values.mean(axes, keepdims=True)[0], np.where(varies, deviation, 1.0)


def extent(values: Floats, axes: tuple[int, ...]) -> Floats:
    """Largest minus smallest."""
    found: Floats = (values.max(axes, keepdims=True) - values.min(axes, keepdims=True))[0]
    return found
