"""What a command reads: a file or stdin, and changes to what is in it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

STDIN = "-"

DELIMITERS = (",", ";", "\t", "|")
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")

# The cells that an upload takes for missing values.
MISSING = frozenset({"", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "Null", "null"})


def text_of(file: str) -> str:
    """The text of a file, or of stdin for `-`."""
    if file == STDIN and sys.stdin.isatty():
        typer.echo("Reading what you type; Ctrl-D ends it.", err=True)
    try:
        content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{name_of(file)} is not UTF-8 (byte {error.start})") from error


def json_of(file: str) -> Any:
    """The JSON of a file, or of stdin for `-`."""
    try:
        return parsed(text_of(file))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{name_of(file)} is no JSON: {error}") from error


def specification(file: str, changes: Sequence[str]) -> dict[str, Any]:
    """The job specification in a file, each of `changes` (`optimizer.lr=0.1`) made in it."""
    spec = json_of(file)
    if not isinstance(spec, dict):
        raise typer.BadParameter(f"{name_of(file)} holds no JSON object")
    return changed(spec, changes)


def changed(spec: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A specification, or a part of one, with each of `changes` made in it."""
    for change in changes:
        path, value = pair(change, "--set")
        put(spec, path.split("."), value_of(value))
    return spec


def pair(text: str, option: str) -> tuple[str, str]:
    """`NAME=VALUE` as the two; wrong usage of an option otherwise."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} has no `=`", param_hint=option)
    return name, value


def labels(texts: Sequence[str]) -> dict[str, str]:
    """The values of `--metadata`."""
    return dict(pair(text, "--metadata") for text in texts)


def put(inside: Any, path: Sequence[str], value: Any) -> None:
    """Set the value at a path of names and, in lists, of places; names that lack are made."""
    first, *rest = path
    key: Any = first
    if isinstance(inside, list):
        if not first.isdecimal() or int(first) >= len(inside):
            raise typer.BadParameter(f"{first!r} is no place of its list", param_hint="--set")
        key = int(first)
    elif not isinstance(inside, dict):
        raise typer.BadParameter(f"{first!r} is inside of a plain value", param_hint="--set")
    if not rest:
        inside[key] = value
        return
    if isinstance(inside, dict):
        inside.setdefault(key, {})
    if isinstance(inside[key], str):  # a bare word stands for {"type": word}
        inside[key] = {"type": inside[key]}
    put(inside[key], rest, value)


def value_of(text: str) -> Any:
    """A value as JSON, else as the text itself."""
    try:
        return parsed(text)
    except (ValueError, RecursionError):
        return text


def parsed(text: str) -> Any:
    """JSON as the standard has it; Python's own parser takes and makes numbers that it has not."""
    return json.loads(text, parse_constant=finite, parse_float=finite)


def finite(text: str) -> float:
    """A number; NaN, an infinity, and what is too large for a float are none."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number there")
    return number


def cell_of(text: Any, delimiter: str = ",") -> Any:
    """A cell of a CSV file as an upload reads it: a number, true or false, missing, or text."""
    if not isinstance(text, str):  # a line with too few or too many of them
        return text
    cell = text.strip()
    if cell in MISSING:
        return None
    if delimiter != "," and DECIMAL_COMMA.fullmatch(cell):
        number = float(cell.replace(",", "."))
        return number if math.isfinite(number) else cell
    return value_of(cell.lower() if cell.lower() in {"true", "false"} else cell)


def table_of(text: str) -> list[Any]:
    """The rows of a CSV file by the names in its header."""
    header = text.partition("\n")[0]
    delimiter = max(
        DELIMITERS, key=lambda each: len(next(csv.reader([header], delimiter=each), []))
    )
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [{name: cell_of(cell, delimiter) for name, cell in row.items()} for row in rows]


def without(columns: Sequence[str], rows: list[Any]) -> list[Any]:
    """The rows without these columns; rows that name no columns stay as they are."""
    return [
        {name: cell for name, cell in row.items() if name not in columns}
        if isinstance(row, dict)
        else row
        for row in rows
    ]


def inputs_of(file: str) -> list[Any]:
    """The rows to predict: a JSON list, an object with `inputs`, or a CSV file with a header."""
    if Path(file).suffix.lower() == ".csv":
        return table_of(text_of(file))
    found = json_of(file)
    if isinstance(found, dict):
        found = found.get("inputs")
    if not isinstance(found, list):
        raise typer.BadParameter(f"{name_of(file)} holds no list of rows")
    return found


def name_of(file: str) -> str:
    """What a file is called in a sentence."""
    return "stdin" if file == STDIN else file
