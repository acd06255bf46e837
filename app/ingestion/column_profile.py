"""What is in each column: its kind, its statistics, its categories."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.dialect import Dialect
from app.ingestion.encoding import Bounds

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null")
"""Cells without a value, after spaces around them are taken away."""
BOOLEANS = {"true", "false"}
MAX_CATEGORY_CHARACTERS = 200
"""Characters of a text that can be a category."""
LARGEST = float(np.finfo(np.float32).max)
"""Networks compute in float32."""


def present(column: pa.Array) -> pa.Array:
    """The cells without spaces around them, null where a value is missing."""
    cells = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.is_in(cells, pa.array(MISSING)), pa.scalar(None, pa.string()), cells)


def numbers(cells: pa.Array, decimal: str = ".") -> NDArray[np.float64] | None:
    """The cells as numbers, NaN where missing; ``None`` when one of them is no number."""
    if decimal == ",":
        if pointed(cells):
            return None
        cells = pc.replace_substring(cells, ",", ".")
    try:
        values = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return None
    found: NDArray[np.float64] = pc.fill_null(values, math.nan).to_numpy(zero_copy_only=False)
    return found


def pointed(cells: pa.Array) -> bool:
    """Whether any cell has a point in it."""
    return bool(pc.any(pc.match_substring(cells, ".")).as_py())


@dataclass
class Profile:
    """One column, as far as it was read. ``distinct`` counts texts, until there are too many.

    ``decimal``: what its numbers are written with. It is a comma where ``commas`` are not between
    the columns, and every cell is a number with it.

    ``square`` is the sum of squared distances from the mean, joined block by block (Chan, Golub and
    LeVeque 1979); ``too_large``: the first row whose number does not fit float32.
    """

    name: str
    most: int
    commas: bool = False
    present: int = 0
    missing: int = 0
    numeric: bool = True
    decimal: str = "."
    points: bool = False
    many: bool = False
    long: bool = False
    distinct: dict[str, int] = field(default_factory=dict)
    mean: float = 0.0
    square: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    too_large: int | None = None

    def add(self, cells: pa.Array, first_row: int) -> None:
        """The next block."""
        self.missing += cells.null_count
        count = len(cells) - cells.null_count
        if self.numeric:
            values = self.values(cells)
            self.numeric = values is not None
            if values is not None and np.isfinite(values).any():
                self.measure(values[np.isfinite(values)], self.present)
                large = np.flatnonzero(np.abs(values) > LARGEST)
                if len(large) and self.too_large is None:
                    self.too_large = first_row + int(large[0])
        self.present += count
        if not self.many and count:
            self.count(cells.drop_null())

    def values(self, cells: pa.Array) -> NDArray[np.float64] | None:
        """A block as numbers, if it is; the first comma or point decides for what follows."""
        found = numbers(cells, self.decimal)
        if found is None and self.commas and not self.points:
            self.decimal = ","
            found = numbers(cells, self.decimal)
        self.points = self.points or (self.commas and self.decimal == "." and pointed(cells))
        return found

    def measure(self, values: NDArray[np.float64], before: int) -> None:
        """Joins the moments of a block with those of the blocks before."""
        count, mean = len(values), float(values.mean())
        delta, total = mean - self.mean, before + count
        self.square += float(np.square(values - mean).sum()) + delta**2 * before * count / total
        self.mean += delta * count / total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def count(self, cells: pa.Array) -> None:
        """How often each text occurs; long ones are no categories, whatever their number."""
        self.long = self.long or pc.max(pc.utf8_length(cells)).as_py() > MAX_CATEGORY_CHARACTERS
        counts = pc.value_counts(cells)
        self.many = self.long or len(counts) > self.most
        if not self.many:
            for text, count in zip(
                counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True
            ):
                self.distinct[text] = self.distinct.get(text, 0) + count
            self.many = len(self.distinct) > self.most
        if self.many:
            self.distinct.clear()

    @property
    def boolean(self) -> bool:
        """Whether every value is true or false."""
        return bool(self.distinct) and {text.lower() for text in self.distinct} <= BOOLEANS

    @property
    def whole(self) -> bool:
        """Whether it is one of few distinct whole numbers in every row."""
        return (
            self.numeric
            and bool(self.distinct)
            and all(self.number(text).is_integer() for text in self.distinct)
        )

    def number(self, text: str) -> float:
        """A text of a numeric column as a number."""
        return float(text.replace(self.decimal, "."))

    def looks_numeric(self) -> bool:
        """Whether every text is a number with a decimal comma, as far as they are known."""
        return bool(self.distinct) and numbers(pa.array(self.distinct), ",") is not None

    def categories(self) -> dict[str, int]:
        """Distinct texts in order, and how often each occurs; booleans in small letters."""
        found: dict[str, int] = {}
        for text, count in self.distinct.items():
            key = text.lower() if self.boolean else text
            found[key] = found.get(key, 0) + count
        return dict(sorted(found.items()))

    def integers(self) -> dict[int, int]:
        """Distinct whole numbers in order, and how often each occurs."""
        found: dict[int, int] = {}
        for text, count in self.distinct.items():
            number = int(self.number(text))
            found[number] = found.get(number, 0) + count
        return dict(sorted(found.items()))

    def statistics(self, *, categorical: bool) -> dict[str, Any]:
        """What there is to say: counts of categories, or the moments of numbers."""
        known: dict[str, Any] = {
            "missing": self.missing,
            "distinct": None if self.many else len(self.distinct),
        }
        if categorical:
            return known | {"counts": self.categories()}
        if not (self.numeric and self.present):
            return known
        std = math.sqrt(self.square / self.present)
        return known | {"min": self.low, "max": self.high, "mean": self.mean, "std": std}


def profiles(dialect: Dialect, bounds: Bounds) -> list[Profile]:
    """One for every column, empty."""
    commas = dialect.delimiter != ","
    return [Profile(name, bounds.classes, commas) for name in dialect.names]
