"""Whether two records are equal to the bit, and where they first differ."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.same_bits.jobs import LEAST_TOGETHER
from benchmarks.same_bits.json_difference import differences, first_lines
from benchmarks.same_bits.recording import Record, Series
from benchmarks.same_bits.scenarios import GROUP_ROW, Found

SIDES = ("OLD", "NEW")
MOST_OF_OUTCOME = 3
"""Lines: where losses differ, so does nearly all of it."""


class Pair(NamedTuple):
    """How two records compare. `values`: how many pairs of them were compared.

    `model` and `outcome` are None where they were not compared; `differences` are sentences.
    """

    values: int
    series: bool
    model: bool | None
    outcome: bool | None
    numerics: bool
    differences: list[str]

    @property
    def equal(self) -> bool:
        """Whether nothing that was compared differs."""
        return not self.differences


class Verdict(NamedTuple):
    """A row of two trees: the old against the new, and the new against another row of its own."""

    across: Pair | None
    within: Pair | None
    same_as: str | None
    numerics: str
    values: int
    complaints: list[str]

    @property
    def equal(self) -> bool:
        """Whether the row is as it should be."""
        return not self.complaints


def judge(name: str, old: dict[str, Found], new: dict[str, Found]) -> Verdict:
    """Compare a row of both trees, and with the row of the new tree that it must equal."""
    before, after = old[name], new[name]
    same_as = after.row.same_as
    across = compare_all(before, after, bound(before, after)) if after.row.across else None
    within = None
    if same_as is not None:
        cancelled = any(record.state == "cancelled" for record in after.records)
        end = after.row.fixed_before if cancelled else None
        within = compare_all(new[same_as], after, end, (f"{same_as!r}", "this row"))
    complaints = [line for pair in (across, within) if pair for line in pair.differences]
    together = max(record.group for record in after.records)
    if name == GROUP_ROW and together < LEAST_TOGETHER:
        complaints.append(f"only {together} jobs were trained side by side in NEW")
    return Verdict(
        across,
        within,
        same_as,
        numerics=numerics(before, after, together),
        values=sum(len(s.values) for record in after.records for s in record.series.values()),
        complaints=complaints,
    )


def bound(old: Found, new: Found) -> int | None:
    """The iteration below which both trees must have recorded the same; None: all of them."""
    ends = [row.fixed_before for row in (old.row, new.row) if row.fixed_before is not None]
    return min(ends, default=None)


def numerics(old: Found, new: Found, together: int) -> str:
    """The numerics class, in both trees if it differs, and how many were trained side by side."""
    classes = [
        "/".join(sorted({str(record.numerics) for record in found.records})) for found in (old, new)
    ]
    shown = classes[1] if classes[0] == classes[1] else " → ".join(classes)
    return f"{shown} ×{together}" if together > 1 else shown


def compare_all(
    first: Found, second: Found, end: int | None, sides: tuple[str, str] = SIDES
) -> Pair:
    """Compare the jobs of two rows, each with its counterpart."""
    records = list(zip(first.records, second.records, strict=True))
    pairs = [compare(a, b, end, sides) for a, b in records]
    lines = [
        f"job {number} of {len(pairs)}: {line}" if len(pairs) > 1 else line
        for number, pair in enumerate(pairs, start=1)
        for line in pair.differences
    ]
    return Pair(
        values=sum(pair.values for pair in pairs),
        series=all(pair.series for pair in pairs),
        model=None if end is not None else all(pair.model for pair in pairs),
        outcome=None if end is not None else all(pair.outcome for pair in pairs),
        numerics=all(pair.numerics for pair in pairs),
        differences=lines,
    )


def compare(
    first: Record, second: Record, end: int | None = None, sides: tuple[str, str] = SIDES
) -> Pair:
    """Compare two records: all of them, or only what was recorded below the iteration `end`."""
    names = sorted(first.series.keys() | second.series.keys())
    nothing = Series(np.empty(0, np.int64), np.empty(0, np.float32))
    both = {
        name: (
            first.series.get(name, nothing).before(end),
            second.series.get(name, nothing).before(end),
        )
        for name in names
    }
    lines = [line for name in names for line in series_difference(name, *both[name], sides)]
    in_series = bool(lines)
    whole = end is None
    if whole and first.model != second.model:
        lines.append(f"model: {first.model} in {sides[0]}, {second.model} in {sides[1]}")
    if whole and first.outcome != second.outcome:
        found = first_lines(differences(first.outcome, second.outcome), MOST_OF_OUTCOME)
        lines += [f"outcome{line}" for line in found]
    if first.numerics != second.numerics:
        lines.append(f"class: {first.numerics} in {sides[0]}, {second.numerics} in {sides[1]}")
    return Pair(
        values=sum(len(b.values) for _, b in both.values()),
        series=not in_series,
        model=first.model == second.model if whole else None,
        outcome=first.outcome == second.outcome if whole else None,
        numerics=first.numerics == second.numerics,
        differences=lines,
    )


def series_difference(
    name: str, first: Series, second: Series, sides: tuple[str, str] = SIDES
) -> Iterator[str]:
    """The first iteration at which two series differ, as a sentence; none where they are equal."""
    common, a, b = np.intersect1d(first.iterations, second.iterations, return_indices=True)
    unlike = common[bits(first.values[a]) != bits(second.values[b])]
    lone = np.setxor1d(first.iterations, second.iterations)
    if not len(unlike) and not len(lone):
        return
    n = int(min([*unlike[:1], *lone[:1]]))
    shown = " and ".join(
        f"{point(series, n)} in {side}" for series, side in zip((first, second), sides, strict=True)
    )
    yield f"{name} first differs at iteration {n}: {shown} ({len(unlike) + len(lone)} differ)"


def point(series: Series, iteration: int) -> str:
    """The value at an iteration, and its bits."""
    found = series.values[series.iterations == iteration]
    return f"{found[0]!s} (0x{bits(found)[0]:08x})" if len(found) else "nothing"


def bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The values as integers: NaN equals the same NaN, and 0 is not −0."""
    return values.view(np.uint32)
