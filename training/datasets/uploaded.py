"""Uploaded tables: what is known of their columns, and rows of them as a network takes them.

A table is stored as typed arrays: ``numeric`` [N, numeric columns] float64 with NaN where a value
is missing, ``codes`` [N, categorical columns] int32 with −1 there, ``target`` [N] float64 or
``labels`` [N] int32, or both. Imports no torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.catalog import Classes, Column, Facts, Target, Values
from training.datasets.array_file import Arrays

Floats = NDArray[np.float64]
Opener = Callable[[str], Arrays]
"""From the id of a data set to its arrays."""

SCANNED_ROWS = 65_536
"""Rows that are looked at together: bounds the memory of what is computed from all of them."""


@dataclass(frozen=True)
class Table:
    """What is known of an uploaded table before it is read.

    ``labels``: the classes of the target, where it can be read as classes, with the rows of each in
    ``counts``. ``numbers``: whether it can be read as numbers. Of whole numbers with few distinct
    values both is true, and the loss decides.
    """

    rows: int
    columns: tuple[Column, ...]
    target: str
    numbers: bool
    labels: tuple[int | str, ...] = ()
    counts: tuple[int, ...] = ()

    def facts(self, *, classes: bool) -> Facts:
        """The facts for a job whose loss wants classes, or numbers; what there is, otherwise."""
        as_classes = bool(self.labels) and (classes or not self.numbers)
        target: Target = Classes(self.labels, self.counts) if as_classes else Values(1)
        width = sum(column.width for column in self.columns)
        return Facts(self.rows, (width,), target, columns=self.columns)


Resolver = Callable[[str], Table | None]
"""From the id of a data set to what is known of it; ``None``: there is none of this id."""


def nothing_stored(dataset_id: str) -> Table | None:
    """The resolver of a place without a database."""
    return None


def nothing_opens(dataset_id: str) -> Arrays:
    """The opener of a place without storage."""
    raise LookupError(f"{dataset_id} cannot be opened here")


class Encoded:
    """The rows of a table [N, width], made when they are asked for: one-hot, NaN where missing."""

    def __init__(self, arrays: Arrays, columns: Sequence[Column]) -> None:
        self.arrays = arrays
        self.columns = columns
        self.numeric_at, self.one_hot_at = places(columns)
        self.width = sum(column.width for column in columns)

    def __len__(self) -> int:
        return len(self.arrays["numeric"])

    def __getitem__(self, rows: Any) -> Floats:
        """Rows by a number, a slice or an array of numbers."""
        numeric, codes = self.arrays["numeric"][rows], self.arrays["codes"][rows]
        if numeric.ndim == 1:
            one: Floats = self.encoded(numeric[None], codes[None])[0]
            return one
        return self.encoded(numeric, codes)

    def encoded(self, numeric: NDArray[Any], codes: NDArray[Any]) -> Floats:
        """Raw columns as inputs."""
        x: Floats = np.zeros((len(numeric), self.width))
        x[:, self.numeric_at] = numeric
        for code, (start, categories, missing) in zip(codes.T, self.one_hot_at, strict=True):
            place = np.where(code < 0, categories, code)  # the place after the last is "missing"
            seen = np.flatnonzero((code >= 0) | missing)
            x[seen, start + place[seen]] = 1.0
        return x


def places(columns: Sequence[Column]) -> tuple[list[int], list[tuple[int, int, bool]]]:
    """Where in a row of inputs each numeric column stands, and each categorical one begins."""
    numeric, one_hot, at = [], [], 0
    for column in columns:
        if column.kind == "numeric":
            numeric.append(at)
        else:
            one_hot.append((at, len(column.categories), column.missing))
        at += column.width
    return numeric, one_hot


def target(arrays: Arrays, kind: Target) -> NDArray[Any]:
    """y [N] int64 or [N, 1] float64."""
    if isinstance(kind, Classes):
        return np.asarray(arrays["labels"]).astype(np.int64)
    return np.asarray(arrays["target"])[:, None]


def shown(arrays: Arrays, columns: Sequence[Column], row: int) -> dict[str, Any]:
    """One row by column name, as it came: what ``predict`` takes."""
    numeric, codes = iter(arrays["numeric"][row].tolist()), iter(arrays["codes"][row].tolist())
    values = [next(numeric if column.kind == "numeric" else codes) for column in columns]
    return {c.name: cell(c, value) for c, value in zip(columns, values, strict=True)}


def truth(arrays: Arrays, table: Table, row: int) -> float | int | str:
    """The target of one row, as it came."""
    if table.numbers:
        return whole(float(arrays["target"][row]))
    return table.labels[int(arrays["labels"][row])]


def cell(column: Column, value: float) -> Any:
    """A stored value as JSON says it."""
    if column.kind == "numeric":
        return None if np.isnan(value) else whole(value)
    if value < 0:
        return None
    category = column.categories[int(value)]
    return category == "true" if column.kind == "boolean" else category


def whole(value: float) -> float | int:
    """3.0 came as 3."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def fitted(x: Encoded, rows: NDArray[np.int64], method: str) -> tuple[Floats, Floats, Floats]:
    """Shift, scale and fill [width] by these rows: numeric columns by ``method``, missing numbers
    their column's mean, one-hot columns left at 0 and 1."""
    moments = Moments(x, rows)
    fill, shift, scale = np.zeros(x.width), np.zeros(x.width), np.ones(x.width)
    fill[x.numeric_at] = moments.mean
    extent = moments.high - moments.low
    if method == "standardize":
        shift[x.numeric_at] = moments.mean
        varies = (moments.deviation > 0) & (extent > 0)
        scale[x.numeric_at] = np.where(varies, moments.deviation, 1.0)
    elif method == "min_max":
        shift[x.numeric_at] = moments.low
        scale[x.numeric_at] = np.where(extent > 0, extent, 1.0)
    return shift, scale, fill


class Moments:
    """Mean, standard deviation and range of the numeric columns over some rows, without what is
    missing; of a column that is missing everywhere they are 0."""

    def __init__(self, x: Encoded, rows: NDArray[np.int64]) -> None:
        shape = len(x.numeric_at)
        count, total, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        for part in parts(x.arrays["numeric"], rows):
            there = ~np.isnan(part)
            count += there.sum(0)
            total += np.where(there, part, 0.0).sum(0)
            low = np.fmin(low, np.where(there, part, np.inf).min(0))
            high = np.fmax(high, np.where(there, part, -np.inf).max(0))
        seen = np.maximum(count, 1)
        self.mean = total / seen
        for part in parts(x.arrays["numeric"], rows):
            # A second look: the difference of two large sums would lose every digit.
            square += np.square(np.where(np.isnan(part), 0.0, part - self.mean)).sum(0)
        self.deviation = np.sqrt(square / seen)
        self.low, self.high = np.where(count, low, 0.0), np.where(count, high, 0.0)


def parts(values: NDArray[Any], rows: NDArray[np.int64]) -> Iterator[Floats]:
    """The rows, a bounded number at a time."""
    for begin in range(0, len(rows), SCANNED_ROWS):
        yield np.asarray(values[rows[begin : begin + SCANNED_ROWS]])
