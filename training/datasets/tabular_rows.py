"""Rows for a model that was trained on an uploaded table: objects by column name, or flat rows."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.catalog import Column
from training.catalog.numbers import FLOAT32
from training.datasets.inline import too_large
from training.datasets.uploaded import Encoded
from training.spec.mistakes import MAX_LISTED_COUNT, Mistake, Mistakes, escaped, nearest, unknown


def encoded(columns: Sequence[Column], inputs: list[Any]) -> NDArray[np.float64]:
    """[N, width], NaN where a number is missing; raises ``Mistakes`` that point into ``inputs``."""
    found = list(islice(mistakes(columns, inputs), MAX_LISTED_COUNT))
    if found:
        raise Mistakes(found)
    rows = [cells(columns, row) for row in inputs]
    index = [{category: i for i, category in enumerate(c.categories)} for c in columns]
    kinds = [column.kind for column in columns]
    numeric = [
        [math.nan if v is None else v for v, kind in zip(row, kinds, strict=True) if kind == NUMBER]
        for row in rows
    ]
    codes = [
        [-1 if v is None else index[i][spelled(v)] for i, v in enumerate(row) if kinds[i] != NUMBER]
        for row in rows
    ]
    arrays: dict[str, NDArray[Any]] = {
        "numeric": np.array(numeric, dtype=np.float64).reshape(len(rows), -1),
        "codes": np.array(codes, dtype=np.int32).reshape(len(rows), -1),
    }
    return Encoded(arrays, columns)[:]


NUMBER = "numeric"


def cells(columns: Sequence[Column], row: Any) -> list[Any]:
    """The values of a row in the order of the columns."""
    return row if isinstance(row, list) else [row[column.name] for column in columns]


def spelled(value: Any) -> str:
    """A category as the table has it."""
    return str(value).lower() if isinstance(value, bool) else value


def mistakes(columns: Sequence[Column], inputs: list[Any]) -> Iterator[Mistake]:
    """Everything that does not fit the columns."""
    names = {column.name: column for column in columns}
    for i, row in enumerate(inputs):
        if isinstance(row, dict):
            for name in row:
                if name not in names:
                    at = f"/{i}/{escaped(name)}"
                    yield Mistake(at, "unknown_column", not_taken(name, names, row))
            for name, column in names.items():
                at = f"/{i}/{escaped(name)}"
                if name in row:
                    yield from unfit(column, row[name], at)
                else:
                    yield Mistake(at, "missing", "is required; null stands for a missing value")
        elif not isinstance(row, list):
            sentence = "must be an object by column name, or a list in the order of the columns"
            yield Mistake(f"/{i}", "wrong_type", sentence)
        elif len(row) != len(columns):
            sentence = f"has {len(row)} values, but the model takes {len(columns)}"
            yield Mistake(f"/{i}", "shape_mismatch", f"{sentence}: {first_of(names)}")
        else:
            for j, (column, value) in enumerate(zip(columns, row, strict=True)):
                yield from unfit(column, value, f"/{i}/{j}")


def unfit(column: Column, value: Any, at: str) -> Iterator[Mistake]:
    """What is wrong with one value."""
    if value is None:
        if column.kind != NUMBER and not column.missing:
            sentence = f"`{column.name}` was never missing in the data, so null means nothing"
            yield Mistake(at, "missing", sentence)
    elif column.kind == NUMBER:
        if type(value) not in (int, float):
            yield Mistake(at, "wrong_type", f"`{column.name}` must be a number")
        elif not abs(value) <= FLOAT32.largest:  # true of NaN too
            yield Mistake(at, "not_finite", too_large(value))
    elif column.kind == "boolean":
        if not isinstance(value, bool):
            yield Mistake(at, "wrong_type", f"`{column.name}` must be true or false")
        elif spelled(value) not in column.categories:
            sentence = f"`{column.name}` was never {spelled(value)} in the data"
            yield Mistake(at, "unknown_category", sentence)
    elif not isinstance(value, str):
        yield Mistake(at, "wrong_type", f"`{column.name}` must be a string")
    elif value not in column.categories:
        yield Mistake(at, "unknown_category", unknown(value, column.categories))


def not_taken(name: str, names: dict[str, Column], row: dict[str, Any]) -> str:
    """The sentence for a column that is none; what the row has already was not meant by it."""
    guess = nearest(name, [known for known in names if known not in row])
    hint = f"did you mean `{guess}`?" if guess else f"the model takes {first_of(names)}"
    return f"`{name[:80]}`: {hint}"


def first_of(names: dict[str, Column]) -> str:
    """The names, as many as a sentence can hold."""
    listed = ", ".join(name for name, _ in zip(names, range(20), strict=False))
    return listed + (" …" if len(names) > 20 else "")
