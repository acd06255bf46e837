"""How the lines of a file are to be read: delimiter, quotes, header."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from typing import IO

from app.ingestion.encoding import (
    DELIMITERS,
    BadFile,
    Bounds,
    Encoding,
    Utf8,
    detected,
    too_many_columns,
)
from training.spec.mistakes import nearest

SAMPLE_BYTES = 1 << 16
"""Bytes from which the dialect is told."""
MAX_NAME_CHARACTERS = 200
WRAPPED = {
    quote: re.compile(rf"(?:^|[,;\t|]){quote}[^{quote}\r\n]*{quote}(?=[,;\t|\r\n]|$)", re.MULTILINE)
    for quote in ('"', "'")
}
"""Fields between quotes."""


@dataclass(frozen=True)
class RequestedDialect:
    """What the client has stated, and so is not detected. ``tabs``: it comes as TSV."""

    target: str
    delimiter: str | None = None
    encoding: Encoding | None = None
    header: bool | None = None
    ignore: frozenset[str] = frozenset()
    tabs: bool = False


@dataclass(frozen=True)
class Dialect:
    """How a file is read. ``names``: those of its columns; without a header they are made up."""

    encoding: Encoding
    delimiter: str
    quote: str
    header: bool
    names: tuple[str, ...]


def dialect(file: IO[bytes], wishes: RequestedDialect, bounds: Bounds) -> Dialect:
    """What is stated or detected; raises ``BadFile`` when the first lines make no table."""
    encoding = wishes.encoding or detected(file)
    sample = first_lines(Utf8(file, encoding, bounds))
    if not sample.strip():
        raise BadFile("empty_file", "the file is empty")
    quote = quote_of(sample)
    delimiter = wishes.delimiter or ("\t" if wishes.tabs else delimiter_of(sample, quote))
    rows = records(sample, delimiter, quote)
    header = wishes.header
    if header is None:
        header = not any(is_number(cell, delimiter) for cell in rows[0])
    if len(rows[0]) > bounds.columns:
        raise too_many_columns(bounds)
    return Dialect(encoding, delimiter, quote, header, names_of(rows[0], header=header))


def first_lines(source: Utf8) -> str:
    """Whole lines from the beginning: about so much, or the first line if that is longer."""
    text = source.read(SAMPLE_BYTES)
    while len(text) >= SAMPLE_BYTES and b"\n" not in text and (more := source.read(SAMPLE_BYTES)):
        text += more
    if len(text) >= SAMPLE_BYTES:
        text = text[: text.rfind(b"\n") + 1]
    return text.decode("utf-8", "ignore")


def records(sample: str, delimiter: str, quote: str) -> list[list[str]]:
    """The sample's rows; empty lines are none."""
    lines = io.StringIO(sample, newline="")
    try:
        return [row for row in csv.reader(lines, delimiter=delimiter, quotechar=quote) if row]
    except csv.Error as error:
        raise BadFile("unreadable", "the first lines cannot be read as a table") from error


def quote_of(sample: str) -> str:
    """The double quote, unless fields are wrapped in single ones and none in double ones."""
    single, double = (len(WRAPPED[quote].findall(sample)) for quote in ("'", '"'))
    return "'" if single and not double else '"'


def delimiter_of(sample: str, quote: str) -> str:
    """The delimiter that cuts the most rows into equally many fields; then the one that makes the
    largest part of the fields numbers (``1,5;2,5``); then the one that makes the most fields."""
    best, best_score = ",", (0.0, 0.0, 0)
    for delimiter in DELIMITERS:
        table = records(sample, delimiter, quote)
        counts = Counter(map(len, table))
        fields, rows = counts.most_common(1)[0]
        if fields > 1:
            numeric = sum(is_number(cell, delimiter) for row in table for cell in row)
            cells = sum(map(len, table))
            score = (rows / counts.total(), numeric / cells, fields)
            best, best_score = max((best, best_score), (delimiter, score), key=itemgetter(1))
    return best


def is_number(text: str, delimiter: str) -> bool:
    """Whether a cell reads as a number, with a decimal comma too where none is between cells;
    ``nan`` is a missing value and no number."""
    if delimiter != "," and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def names_of(first: list[str], *, header: bool) -> tuple[str, ...]:
    """The names of the columns; raises ``BadFile`` for those that cannot be told apart."""
    made_up = [f"column_{i}" for i in range(1, len(first) + 1)]
    if not header:
        return tuple(made_up)
    names = [name.strip() or made_up[i] for i, name in enumerate(first)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        sentence = f"two columns have the name `{twice[0][:80]}`"
        raise BadFile("duplicate_column", sentence, line=1)
    if long := next((name for name in names if len(name) > MAX_NAME_CHARACTERS), None):
        sentence = f"a column's name may have {MAX_NAME_CHARACTERS} characters: `{long[:80]}` …"
        raise BadFile("name_too_long", sentence, line=1)
    return tuple(names)


def did_you_mean(name: str, names: tuple[str, ...]) -> str:
    """The sentence for a column that is not there."""
    guess = nearest(name, names)
    listed = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    hint = f"did you mean `{guess}`?" if guess else f"there are {listed}"
    return f"there is no column `{name[:80]}`: {hint}"
