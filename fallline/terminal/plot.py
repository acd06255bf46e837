"""A curve in the terminal, drawn with braille characters: two by four points in every character.

```
   2 ┤⡆
     │⢣
 0.5 ┤⠈⠳⣄
     │   ⠉⠲⢤⣀⡀
 0.1 ┤       ⠈⠉⠉
     └┬───────────
      0      iteration
```
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# The bit of each point of a braille character (U+2800 …), by its row and column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))

# From this ratio of the largest to the smallest value a linear axis hides the end of the curve.
MIN_LOG_SCALE_RATIO = 30.0


@dataclass(frozen=True)
class Axis:
    """A range of values laid on 0…1, by the values or by their logarithms."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[float]:
        """At most `most` round values within the range, ascending; the ends where none is."""
        found = log_ticks(self, most) if self.log else []
        found = found or linear_ticks(self, most)
        return found or [self.low, self.high]


def curve(
    x: Sequence[float],
    y: Sequence[float],
    *,
    width: int = 72,
    height: int = 12,
    log: bool | None = None,
    label: str = "iteration",
) -> list[str]:
    """The curve of `y` over ascending `x` as lines of at most `width` characters.

    Every column shows the smallest and the largest value that fall into it, so no spike is lost.
    Values that are not finite (or, on a logarithmic axis, not positive) are left out. The axis of
    `y` is logarithmic if `log` says so or, where it says nothing, if the values span much.
    """
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    if log is None:
        log = spans_much([b for _, b in points])
    points = [(a, b) for a, b in points if b > 0 or not log]
    if not points:
        return ["(there is no finite value to draw)"]
    over = axis([a for a, _ in points])
    up = axis([b for _, b in points], log=log)
    names = row_names(up, height)
    margin = max(len(name) for name in names.values())
    columns = width - margin - 2
    canvas = draw([(over.place(a), up.place(b)) for a, b in points], columns, height)
    lines = [
        f"{names.get(row, ''):>{margin}} {'┤' if row in names else '│'}{line}"
        for row, line in enumerate(canvas)
    ]
    return [*lines, *(" " * (margin + 1) + line for line in foot(over, columns, label))]


def spans_much(values: Sequence[float]) -> bool:
    """Whether positive values differ so much that only a logarithmic axis shows them all."""
    return bool(values) and min(values) > 0 and max(values) >= MIN_LOG_SCALE_RATIO * min(values)


def axis(values: Sequence[float], *, log: bool = False) -> Axis:
    """The axis from the smallest to the largest value, a little around it if they are one."""
    low, high = min(values), max(values)
    if low < high:
        return Axis(low, high, log)
    around = abs(low) / 2 or 0.5
    return Axis(low / 2, high * 2, log) if log else Axis(low - around, high + around)


def draw(points: Sequence[tuple[float, float]], columns: int, rows: int) -> list[str]:
    """Points of the unit square as `rows` lines of `columns` characters, joined in their order."""
    cells = [[0] * columns for _ in range(rows)]
    for across, low, high in strokes(points, 2 * columns - 1, 4 * rows - 1):
        for up in range(low, high + 1):
            down = 4 * rows - 1 - up
            cells[down // 4][across // 2] |= DOTS[down % 4][across % 2]
    return ["".join(chr(0x2800 + bits) if bits else " " for bits in row).rstrip() for row in cells]


def strokes(
    points: Sequence[tuple[float, float]], right: int, top: int
) -> Iterator[tuple[int, int, int]]:
    """Vertical strokes (column, lowest, highest) that cover every point and join neighbours."""
    x0, y0 = round(points[0][0] * right), round(points[0][1] * top)
    for a, b in points:
        x1, y1 = round(a * right), round(b * top)
        last = y0
        for column in range(min(x0 + 1, x1), x1 + 1):
            height = round(y0 + (y1 - y0) * (column - x0) / (x1 - x0)) if x1 > x0 else y1
            # A new column starts beside, not at, the height where the one before it ended.
            begin = last + (height > last) - (height < last) if x1 > x0 else last
            yield column, min(begin, height), max(begin, height)
            last = height
        x0, y0 = x1, y1


def row_names(up: Axis, rows: int) -> dict[int, str]:
    """The round values of the vertical axis by the row they stand in, 0 on top."""
    places = {rows - 1 - min(int(up.place(t) * rows), rows - 1): t for t in up.ticks(rows // 2)}
    return {row: f"{value:.4g}" for row, value in places.items()}


def foot(over: Axis, columns: int, label: str) -> list[str]:
    """The horizontal axis and, below it, its round values and what it counts."""
    line = ["─"] * columns
    names = [" "] * (columns - len(label)) + list(label)
    for tick in filter(float.is_integer, over.ticks(max(columns // 12, 2))):
        column = round(over.place(tick) * (columns - 1))
        line[column] = "┬"
        name = f"{tick:g}"
        if column + len(name) < columns - len(label):
            names[column : column + len(name)] = name
    return ["└" + "".join(line), " " + "".join(names)]


def linear_ticks(axis: Axis, most: int) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten."""
    rough = (axis.high - axis.low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def log_ticks(axis: Axis, most: int) -> list[float]:
    """Powers of ten, with others between where there is room, thinned where there is none."""
    powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
    found: list[float] = []
    for among in ((1, 2, 5), (1, 3), (1,)):
        all_ticks = [m * 10.0**p for p in powers for m in among]
        found = [tick for tick in all_ticks if axis.low <= tick <= axis.high]
        if len(found) <= most:
            return found if len(found) > 1 else []
    return found[:: math.ceil(len(found) / most)]
