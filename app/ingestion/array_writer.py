"""A table becomes arrays: the second reading of its file, when its columns are known."""

import os
import tempfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.column_profile import BOOLEANS, numbers, present
from app.ingestion.column_roles import Reading
from app.ingestion.csv_reader import batches
from app.ingestion.encoding import Bounds
from training.datasets.array_file import Place, layout
from training.datasets.uploaded import Table

COMPARED_ROWS = 1 << 20
"""Rows that are compared at once."""


class Written(NamedTuple):
    """What the second reading learns."""

    duplicates: int


def write(file: IO[bytes], reading: Reading, bounds: Bounds, to: IO[bytes]) -> Written:
    """Every row with a target, written where each of its arrays belongs.

    Through ``pwrite``, not a mapping: on a full disk that is an error, and no signal.
    """
    table = reading.table
    header, places = layout(shapes(table))
    os.pwrite(to.fileno(), header, 0)
    done = 0
    # On the disk, for there may be more rows than memory holds.
    with tempfile.TemporaryFile(dir=Path(to.name).parent) as hashes:
        for batch in batches(file, reading.dialect, bounds):
            block = arrays(batch, reading)
            for name, values in block.items():
                put(to, places[name], values, done)
            hashes.write(hashed(list(block.values())).tobytes())
            done += len(block["numeric"])
        assert done == table.rows, "the file has changed under our hands"
        to.truncate(max(place.end for place in places.values()))
        hashes.flush()
        return Written(repeated(np.memmap(hashes, np.uint64, "r+", shape=done)))


def repeated(hashes: NDArray[np.uint64]) -> int:
    """How many are there again; they are sorted for that, where they lie."""
    hashes.sort()  # lets other threads run, as np.unique would not for seconds
    parts = (hashes[i : i + COMPARED_ROWS + 1] for i in range(0, len(hashes), COMPARED_ROWS))
    return sum(int(np.count_nonzero(part[1:] == part[:-1])) for part in parts)


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
