"""Named arrays in one file, read where they lie: the layout is that of safetensors.

A length, that much JSON, then the numbers of each array. Nothing is loaded: arrays are mapped into
memory, and the system brings in what is looked at. Imports no torch.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "I32": np.dtype("<i4")}
"""The widest first: with a header of a multiple of eight bytes, every array is aligned."""
MAX_HEADER_BYTES = 10_000


class NotArrays(ValueError):
    """The file is none of ours; its header may not be believed."""


class Place(NamedTuple):
    """Where in a file the numbers of an array lie."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The offset after its last byte."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def layout(shapes: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[bytes, dict[str, Place]]:
    """The header of a file for arrays of these types and shapes, and where their numbers go."""
    order = sorted(shapes, key=lambda name: (list(DTYPES).index(shapes[name][0]), name))
    entries, begin = {}, 0
    for name in order:
        dtype, shape = shapes[name]
        end = begin + math.prod(shape) * DTYPES[dtype].itemsize
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, places(entries, 8 + len(text))


def places(entries: Mapping[str, Any], start: int) -> dict[str, Place]:
    """What the entries of a header say; ``start``: where the numbers begin."""
    return {
        name: Place(start + entry["data_offsets"][0], DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in entries.items()
    }


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file, mapped and read-only; raises ``NotArrays``."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(MAX_HEADER_BYTES, size):
            raise NotArrays("the header has no credible length")
        try:
            entries = json.loads(file.read(length))
        except ValueError as error:
            raise NotArrays("the header cannot be read") from error
    if not isinstance(entries, dict) or not all(map(credible, entries.values())):
        raise NotArrays("the header names no arrays")
    found = places(entries, 8 + length)
    if any(place.end > size for place in found.values()):
        raise NotArrays("the header names more than the file holds")
    return {name: view(path, place) for name, place in found.items()}


def credible(entry: Any) -> bool:
    """Whether an entry of a header names an array that lies where it says."""
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]}:
            if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in shape):
                return False
            return begin >= 0 and end - begin == math.prod(shape) * DTYPES[dtype].itemsize
    return False


def view(path: Path, place: Place) -> NDArray[Any]:
    """One array; an empty one cannot be mapped."""
    if place.end == place.offset:
        return np.empty(place.shape, place.dtype)
    return np.memmap(path, place.dtype, "r", place.offset, place.shape)
