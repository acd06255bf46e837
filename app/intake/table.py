"""A file becomes a table: read once to know its columns, and once more to write them as arrays."""

import os
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.intake.columns import (
    BOOLEANS,
    LARGEST,
    LONGEST_CATEGORY,
    Profile,
    numbers,
    present,
    profiles,
)
from app.intake.dialect import Dialect, Wishes, dialect, did_you_mean
from app.intake.reader import batches, line_of
from app.intake.text import BadFile, Bounds, UnknownColumn
from training.arrayfile import Place, layout
from training.catalog import Column
from training.stored import Table

MANY_ROWS = 20
"""From so many rows on, a text that is different in most of them is no category."""
COMMAS = (
    "they look like numbers with a decimal comma, which numbers can have where no commas are "
    "between the columns"
)


@dataclass(frozen=True)
class Reading:
    """What a file was found to be. ``rows`` have a target; ``without_target`` are left out."""

    dialect: Dialect
    table: Table
    profiles: dict[str, Profile]
    notes: dict[str, str]
    without_target: int


class Written(NamedTuple):
    """What the second reading learns."""

    duplicates: int


def read(file: IO[bytes], wishes: Wishes, bounds: Bounds) -> Reading:
    """The first reading; raises ``BadFile`` or ``UnknownColumn``."""
    how = dialect(file, wishes, bounds)
    for parameter, name in [("target", wishes.target), *(("ignore", n) for n in wishes.ignore)]:
        if name not in how.names:
            raise UnknownColumn(parameter, did_you_mean(name, how.names))
    found, rows = profiles(how, bounds), 0
    for batch in batches(file, how, bounds):
        for profile, column in zip(found, batch.columns, strict=True):
            profile.add(present(column), rows)
        rows += batch.num_rows
    if rows == 0:
        raise BadFile("no_rows", "the file has a header and no row")
    by_name = {profile.name: profile for profile in found}
    target = by_name[wishes.target]
    notes = {n: note for n in how.names if (note := why_ignored(by_name[n], wishes, bounds))}
    features = [p for p in found if p is not target and p.name not in notes]
    for profile in [*features, target]:
        if profile.numeric and profile.too_large is not None:
            number = profile.too_large + 1 + how.header
            raise too_large(profile.name, line_of(file, how, bounds, number))
    columns = tuple(column_of(profile) for profile in features)
    check_width(columns, notes, bounds)
    table = Table(target.present, columns, target.name, *target_of(target, bounds))
    return Reading(how, table, by_name, notes, target.missing)


def why_ignored(profile: Profile, wishes: Wishes, bounds: Bounds) -> str | None:
    """Why a column is no feature, as a sentence."""
    if profile.name == wishes.target:
        return None
    if profile.name in wishes.ignore:
        return "ignored as asked for"
    if profile.present == 0:
        return "ignored: every value is missing"
    if profile.numeric:
        return None
    if profile.long:
        return f"ignored: it holds texts of more than {LONGEST_CATEGORY} characters"
    if profile.many or len(profile.categories()) > bounds.categories:
        count = f"over {bounds.classes}" if profile.many else str(len(profile.distinct))
        note = (
            f"ignored: {count} distinct texts are more than the {bounds.categories} that a "
            "category may have"
        )
        return f"{note}; {COMMAS}" if profile.looks_numeric() else note
    if profile.present >= MANY_ROWS and 2 * len(profile.categories()) > profile.present:
        return "ignored: most of its texts are different ones, so they name rows"
    return None


def too_large(name: str, line: int) -> BadFile:
    """The refusal of a number that float32 cannot hold."""
    sentence = f"`{name}` is not a finite number up to {LARGEST:.2e}"
    return BadFile("not_finite", sentence, line=line)


def column_of(profile: Profile) -> Column:
    """A feature: numbers, true and false, or few distinct texts."""
    if profile.numeric:
        return Column(profile.name, "numeric")
    kind: Literal["boolean", "categorical"] = "boolean" if profile.boolean else "categorical"
    return Column(profile.name, kind, tuple(profile.categories()), missing=profile.missing > 0)


def check_width(columns: tuple[Column, ...], notes: dict[str, str], bounds: Bounds) -> None:
    """Whether there is anything to learn from, and not too much."""
    if not columns:
        reason = "; ".join(f"`{name[:80]}` is {note}" for name, note in list(notes.items())[:5])
        raise BadFile("no_features", f"no column but the target can be used. {reason}".strip())
    width = sum(column.width for column in columns)
    if width > bounds.features:
        sentence = f"its columns are {width} inputs, a category each, more than the"
        raise BadFile("too_many_features", f"{sentence} {bounds.features} allowed")


def target_of(
    target: Profile, bounds: Bounds
) -> tuple[bool, tuple[int | str, ...], tuple[int, ...]]:
    """Whether the target is numbers, its classes, and the rows of each class."""
    if target.present == 0:
        raise BadFile("target_missing", f"`{target.name}` has no value in any row")
    if target.numeric and target.low == target.high:
        sentence = f"`{target.name}` is the same in every row: there is nothing to learn"
        raise BadFile("one_class", sentence)
    if target.numeric:
        known: dict[Any, int] = target.integers() if target.whole else {}
        return True, tuple(known), tuple(known.values())
    if target.long:
        sentence = f"`{target.name}` holds texts of more than {LONGEST_CATEGORY} characters"
        raise BadFile("too_many_classes", f"{sentence}: no classes")
    if target.many:
        sentence = f"`{target.name}` has more than {bounds.classes} distinct texts: no classes"
        raise BadFile("too_many_classes", sentence)
    known = target.categories()
    if len(known) < 2:
        sentence = f"`{target.name}` has one class only, `{next(iter(known))[:80]}`"
        raise BadFile("one_class", sentence)
    return False, tuple(known), tuple(known.values())


def write(file: IO[bytes], reading: Reading, bounds: Bounds, to: IO[bytes]) -> Written:
    """The second reading: every row with a target, as arrays, written where each belongs.

    Through ``pwrite``, not a mapping: on a full disk that is an error, and no signal.
    """
    table = reading.table
    header, places = layout(shapes(table))
    os.pwrite(to.fileno(), header, 0)
    hashes, done = np.empty(table.rows, dtype=np.uint64), 0
    for batch in batches(file, reading.dialect, bounds):
        block = arrays(batch, reading)
        count = len(block["numeric"])
        for name, values in block.items():
            put(to, places[name], values, done)
        hashes[done : done + count] = hashed(list(block.values()))
        done += count
    assert done == table.rows, "the file has changed under our hands"
    to.truncate(max(place.end for place in places.values()))
    hashes.sort()  # lets other threads run, as np.unique would not for seconds
    return Written(int(np.count_nonzero(hashes[1:] == hashes[:-1])))


def shapes(table: Table) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes of a table's arrays."""
    numeric = sum(column.kind == "numeric" for column in table.columns)
    found: dict[str, tuple[str, tuple[int, ...]]] = {
        "numeric": ("F64", (table.rows, numeric)),
        "codes": ("I32", (table.rows, len(table.columns) - numeric)),
    }
    if table.numbers:
        found["target"] = ("F64", (table.rows,))
    if table.labels:
        found["labels"] = ("I32", (table.rows,))
    return found


def arrays(batch: pa.RecordBatch, reading: Reading) -> dict[str, NDArray[Any]]:
    """One block of rows, those with a target."""
    table, profiles = reading.table, reading.profiles
    target = present(batch.column(table.target))
    there = pc.is_valid(target)
    batch, target = batch.filter(there), target.filter(there)
    numeric, codes = [], []
    for column in table.columns:
        cells = present(batch.column(column.name))
        if column.kind == "numeric":
            numeric.append(numbers(cells, profiles[column.name].decimal))
        else:
            codes.append(coded(cells, column.categories, lower=column.kind == "boolean"))
    block: dict[str, NDArray[Any]] = {
        "numeric": joined(numeric, batch.num_rows, "<f8"),
        "codes": joined(codes, batch.num_rows, "<i4"),
    }
    values = numbers(target, profiles[table.target].decimal) if table.numbers else None
    if values is not None:
        block["target"] = values
    if table.labels:
        block["labels"] = labelled(target, values, table.labels)
    return block


def joined(columns: list[Any], rows: int, dtype: str) -> NDArray[Any]:
    """Columns side by side [rows, columns]."""
    found = np.empty((rows, len(columns)), dtype=dtype)
    for i, column in enumerate(columns):
        found[:, i] = column
    return found


def coded(cells: pa.Array, categories: tuple[Any, ...], *, lower: bool) -> NDArray[np.int32]:
    """The number of each cell's category, −1 where it is missing."""
    cells = pc.utf8_lower(cells) if lower else cells
    found: NDArray[np.int32] = pc.fill_null(
        pc.index_in(cells, pa.array(categories, pa.string())), -1
    ).to_numpy(zero_copy_only=False)
    return found


def labelled(
    target: pa.Array, values: NDArray[np.float64] | None, labels: tuple[int | str, ...]
) -> NDArray[np.int32]:
    """The number of each row's class."""
    if values is None:
        return coded(target, labels, lower=set(labels) <= BOOLEANS)
    return np.searchsorted(np.array(labels, dtype=np.float64), values).astype(np.int32)


def put(to: IO[bytes], place: Place, values: NDArray[Any], row: int) -> None:
    """Rows of an array, from ``row`` on."""
    content = memoryview(np.ascontiguousarray(values, dtype=place.dtype).tobytes())
    offset = place.offset + row * (len(content) // max(1, len(values)))
    while content:
        written = os.pwrite(to.fileno(), content, offset)
        content, offset = content[written:], offset + written


def hashed(columns: list[NDArray[Any]]) -> NDArray[np.uint64]:
    """64 bits a row, of all that a model sees of it. Equal rows have equal ones, whatever NaN."""
    rows = len(columns[0])
    state = np.full(rows, 0x9E3779B97F4A7C15, dtype=np.uint64)
    for block in columns:
        for column in block.reshape(rows, -1).T:
            values = np.where(np.isnan(column), 0.1234567, column) + 0.0  # −0 is 0
            mixed = values.astype("<f8").view(np.uint64) * np.uint64(0xFF51AFD7ED558CCD)
            state = (state ^ mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xC4CEB9FE1A85EC53)
            state ^= state >> np.uint64(32)
    return state
