"""How data are divided: the sizes of the splits, and how many examples of each class they get.

Which rows those are is up to the seed; see ``training.tensors.data``. Imports no torch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.spec.job_spec import Split

HELD_BACK = ("test", "validation")
"""In the order in which they are taken, each from what the one before left."""


def shares(split: Split, rows: int) -> dict[str, int]:
    """Examples in each split, rounded to the nearest whole one."""
    validation, test = round(rows * split.validation), round(rows * split.test)
    return {"train": rows - validation - test, "validation": validation, "test": test}


def evenly(n: int, count: int) -> NDArray[np.bool_]:
    """A mask of length n with ``count`` marks at equal distances."""
    return np.diff(marks_before(np.arange(n + 1), n, count)) > 0


def marks_before(places: NDArray[np.int64], n: int, count: int) -> NDArray[np.int64]:
    """How many of the marks of ``evenly`` come before each place."""
    return (places * count + n // 2) // n


def dealt(sizes: Sequence[int], rows: dict[str, int]) -> dict[str, NDArray[np.int64]]:
    """Examples of each class in each split, for classes of these sizes.

    The rows lie sorted by class when a split takes its own at equal distances, so what it takes of
    a class is the number of marks between that class's ends.
    """
    left, found = np.array(sizes, dtype=np.int64), {}
    for name in HELD_BACK:
        ends = np.concatenate([[0], left.cumsum()])
        found[name] = np.diff(marks_before(ends, int(ends[-1]), rows[name]))
        left = left - found[name]
    return {**found, "train": left}


def without_examples(labels: Sequence[int | str]) -> str:
    """The sentence for classes that cannot be learned."""
    named = ", ".join(f"`{str(label)[:40]}`" for label in labels[:5])
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"leaves no example to train on of class {named}{more}"
