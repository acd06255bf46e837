"""Inline data: from nested JSON lists to arrays, with a pointer to whatever does not belong.

Imports no torch: validation uses it too.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.catalog import Classes, Facts, Shape, Target, Values
from training.catalog.numbers import FLOAT32
from training.spec.job_spec import InlineData
from training.spec.mistakes import Mistake, Mistakes

MAX_LISTED_COUNT = 20
"""How many bad numbers of one array are listed; a file full of NaN needs no longer list."""


MAX_ARRAY_AXES = 8
"""Axes of the deepest array; images have four."""


def facts(data: InlineData, *, classes: bool, limit: int) -> Facts:
    """The facts of inline data; ``Mistakes`` (pointers within ``dataset``) when it is unusable.

    ``classes``: the loss wants labels, so ``y`` is a list of whole numbers or strings.
    ``limit``: the most values allowed in x and y together.
    """
    wrong: list[Mistake] = []
    x = numbers(data.x, "/x", wrong)
    y = None if classes else numbers(data.y, "/y", wrong)
    counts = label_counts(data.y, wrong) if classes else {}
    if not data.x:
        wrong.append(Mistake("/x", "too_small", "at least one example is needed"))
    if len(data.x) != len(data.y):
        sentence = f"x has {len(data.x)} examples but y has {len(data.y)}"
        wrong.append(Mistake("/y", "length_mismatch", sentence))
    size = 0 if x is None else x.size + (len(data.y) if y is None else y.size)
    if size > limit:
        sentence = f"{size} values are more than the {limit} allowed inline"
        wrong.append(Mistake("", "limit_exceeded", sentence))
    if wrong or x is None:
        raise Mistakes(wrong)
    target: Target = Classes(tuple(counts), tuple(counts.values()))
    if y is not None:
        target = Values(math.prod(y.shape[1:]))
    return Facts(len(x), example_shape(x), target, inline=True)


def arrays(data: InlineData, target: Target) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """x [N, *shape] float64, and y [N] int64 (index of the class) or [N, width] float64."""
    x = np.array(data.x, dtype=np.float64)
    x = x.reshape(len(x), *example_shape(x))
    if isinstance(target, Classes):
        index = {label: k for k, label in enumerate(target.labels)}
        return x, np.array([index[unwrapped(y)] for y in data.y], dtype=np.int64)
    return x, np.array(data.y, dtype=np.float64).reshape(len(data.y), target.width)


def example_shape(x: NDArray[np.float64]) -> Shape:
    """A flat list of numbers is one feature an example."""
    return x.shape[1:] or (1,)


def label_counts(y: list[Any], wrong: list[Mistake]) -> dict[int | str, int]:
    """The distinct labels, sorted, and how often each occurs: whole numbers, or strings."""
    offending = (i for i, value in enumerate(y) if type(unwrapped(value)) not in (int, str))
    sentence = "a class is a whole number or a string"
    bad = [Mistake(f"/y/{i}", "wrong_type", sentence) for i in islice(offending, MAX_LISTED_COUNT)]
    wrong.extend(bad)
    counts = Counter(() if bad else map(unwrapped, y))
    if len({type(label) for label in counts}) > 1:
        wrong.append(Mistake("/y", "wrong_type", "classes are all numbers or all strings"))
        return {}
    if len(counts) == 1:
        wrong.append(Mistake("/y", "one_class", "all examples have the same class"))
    return dict(sorted(counts.items()))


def unwrapped(label: Any) -> Any:
    """``[3]`` is accepted for ``3``: the same layout as for numbers."""
    return label[0] if isinstance(label, list) and len(label) == 1 else label


def numbers(rows: list[Any], at: str, wrong: list[Mistake]) -> NDArray[np.float64] | None:
    """The rows as one float64 array, or ``None`` with the reasons added to ``wrong``."""
    values = array(rows)
    if values is not None:
        bad = np.argwhere(~(np.abs(values) <= FLOAT32.largest))  # true of NaN too
        for where in bad[:MAX_LISTED_COUNT]:
            pointer = at + "".join(f"/{i}" for i in where)
            wrong.append(Mistake(pointer, "not_finite", too_large(values[tuple(where)])))
        return None if len(bad) else values
    if rows:
        found = list(first_of(offenders(rows, shape_of(rows[0]), at), MAX_LISTED_COUNT))
        odd = Mistake(at, "wrong_type", "must be rows of numbers, all of the same shape")
        wrong.extend(found or [odd])
    return None


def array(value: Any) -> NDArray[np.float64] | None:
    """Nested lists of numbers as an array; ``None`` for what is ragged, empty, too deep or holds
    anything else.

    numpy alone would take true for 1 and "2" for 2.
    """
    try:
        cells = np.array(value, dtype=object)
    except ValueError:  # ragged in a way that numpy refuses even for objects
        return None
    if not cells.size or cells.ndim > MAX_ARRAY_AXES:
        return None
    if not {type(cell) for cell in cells.flat} <= {int, float}:
        return None
    try:
        return cells.astype(np.float64)
    except OverflowError:  # a whole number of more than 308 digits
        return None


def too_large(value: float) -> str:
    """The sentence for a number of the data that float32 does not reach to.

    There is none for what is too near to 0 for it: data are rounded, and such a number to 0.
    """
    if abs(value) < math.inf:
        return f"must be at most {FLOAT32.largest_text} in size: float32 holds no more"
    return "must be a finite number, not NaN or Inf"


def shape_of(value: Any) -> Shape:
    """The nested lengths along the first elements."""
    lengths: list[int] = []
    while isinstance(value, list) and len(lengths) < MAX_ARRAY_AXES:
        lengths.append(len(value))
        value = value[0] if value else None
    return tuple(lengths)


def offenders(value: Any, expected: Shape | None, at: str) -> Iterator[Mistake]:
    """Everything below ``value`` (a list of examples) that breaks the common shape."""
    for i, item in enumerate(value):
        here = f"{at}/{i}"
        if not expected:
            if type(item) not in (int, float):
                yield Mistake(here, "wrong_type", "must be a number")
            elif not abs(item) <= FLOAT32.largest:  # true of NaN too
                yield Mistake(here, "not_finite", too_large(item))
        elif not isinstance(item, list):
            yield Mistake(here, "wrong_type", f"must be a list of {expected[0]}")
        elif not item:
            yield Mistake(here, "too_small", "must not be empty")
        elif len(item) != expected[0]:
            sentence = f"has {len(item)} entries, but the first example has {expected[0]}"
            yield Mistake(here, "shape_mismatch", sentence)
        else:
            yield from offenders(item, expected[1:], here)


def first_of(mistakes: Iterator[Mistake], most: int) -> Iterator[Mistake]:
    """At most so many of them."""
    yield from (mistake for mistake, _ in zip(mistakes, range(most), strict=False))
