"""What a command prints on stdout, in the form that `--output` names."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.cells import cell_len

GAP_CHARACTERS = 2

# A spreadsheet takes a cell that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Form(StrEnum):
    """The forms of `--output`."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    ID = "id"


OutputOption = Annotated[Form, typer.Option("--output", "-o", help="How to print.")]


@dataclass(frozen=True)
class Row:
    """One thing to print: the document it came as, its columns for a table, its id."""

    document: Any
    cells: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True)
class Printer:
    """Prints rows in one form, each as soon as it is there where the form allows it."""

    form: Form
    write: Callable[[str], None] = field(default=lambda line: typer.echo(line))

    def rows(self, rows: Iterable[Row]) -> None:
        """A list of things."""
        {
            Form.TABLE: self._table,
            Form.JSON: self._json,
            Form.JSONL: self._lines,
            Form.CSV: self._csv,
            Form.ID: self._ids,
        }[self.form](rows)

    def one(self, row: Row) -> None:
        """A single thing: upright as a table, and no list as JSON."""
        if self.form is Form.TABLE:
            width = max(map(cell_len, row.cells), default=0)
            for name, value in row.cells.items():
                self.write(f"{padded(name, width)}{' ' * GAP_CHARACTERS}{shown(value)}".rstrip())
        elif self.form is Form.JSON:
            self.write(pretty(row.document))
        else:
            self.rows([row])

    def _table(self, rows: Iterable[Row]) -> None:
        found = list(rows)
        if not found:
            typer.echo("Nothing there.", err=True)
            return
        lines = [[*found[0].cells], *([shown(v) for v in row.cells.values()] for row in found)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = [padded(cell, width) for cell, width in zip(line, widths, strict=True)]
            self.write((" " * GAP_CHARACTERS).join(cells).rstrip())

    def _json(self, rows: Iterable[Row]) -> None:
        self.write(pretty([row.document for row in rows]))

    def _lines(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.write(json.dumps(row.document, ensure_ascii=False))

    def _csv(self, rows: Iterable[Row]) -> None:
        header: Sequence[str] | None = None
        for row in rows:
            if header is None:
                header = list(row.cells)
                self.write(csv_line(header))
            self.write(csv_line([plain(value) for value in row.cells.values()]))

    def _ids(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.id is None:
                raise typer.BadParameter("there are no ids here", param_hint="--output")
            self.write(row.id)


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A document as names with dots and plain values; what is empty is left out."""
    cells: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            cells |= flat(value, f"{prefix}{name}.")
        elif value not in (None, [], ()):
            cells[f"{prefix}{name}"] = value
    return cells


def pretty(document: Any) -> str:
    """JSON for people."""
    return json.dumps(document, indent=2, ensure_ascii=False)


def shown(value: Any) -> str:
    """A value in a table: short, and without a character that steers a terminal."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return printable(plain(value))


def plain(value: Any) -> str:
    """A value in full."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def printable(text: str) -> str:
    """Text with what would move a cursor or hide itself written out, as in `\\x1b`."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def padded(text: str, width: int) -> str:
    """Text with blanks up to a width, as a terminal counts it."""
    return text + " " * (width - cell_len(text))


def csv_line(cells: Iterable[str]) -> str:
    """One line of CSV, none of whose cells a spreadsheet takes for a formula."""
    line = io.StringIO()
    # A cell that holds any part of this end of a line is quoted.
    csv.writer(line, lineterminator="\r\n").writerow(map(harmless, cells))
    return line.getvalue().removesuffix("\r\n")


def harmless(cell: str) -> str:
    """A cell with an apostrophe in front where it would be a formula; a number stays one."""
    return f"'{cell}" if cell.startswith(FORMULA) and not is_number(cell) else cell


def is_number(text: str) -> bool:
    """Whether text is a plain number."""
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
