"""The rows of a file as columns of text, a block at a time, by Arrow."""

import csv
import io
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from app.ingestion.dialect import Dialect
from app.ingestion.encoding import BadFile, Bounds, Utf8

BLOCK_BYTES = 4 << 20
"""Bytes of a block; a record, with the line ends inside its quotes, must fit into one."""


def batches(file: IO[bytes], dialect: Dialect, bounds: Bounds) -> Iterator[pa.RecordBatch]:
    """Every row once, in order, all columns as text; raises ``BadFile`` with the line."""
    ragged: list[pa_csv.InvalidRow] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    source = Utf8(file, dialect.encoding, bounds)
    last: pa.RecordBatch | None = None
    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(source, mode="r"),
            read_options=pa_csv.ReadOptions(
                use_threads=False,  # else a ragged row does not know its number
                block_size=BLOCK_BYTES,
                column_names=dialect.names,
                skip_rows_after_names=int(dialect.header),
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=refuse,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in dialect.names},
                strings_can_be_null=False,
                check_utf8=False,  # it was decoded here
            ),
        )
        for batch in reader:
            last = batch if batch.num_rows else last
            yield batch
    except pa.ArrowInvalid as error:
        if ragged:
            raise uneven(file, dialect, bounds, ragged[0]) from error
        raise endless(file, dialect, bounds) from error
    if last is not None and unclosed(last, source, dialect.quote):
        raise endless(file, dialect, bounds)


def uneven(file: IO[bytes], dialect: Dialect, bounds: Bounds, row: pa_csv.InvalidRow) -> BadFile:
    """The refusal of a row that has more or fewer fields than the others."""
    line = line_of(file, dialect, bounds, row.number)
    first = "the header has" if dialect.header else "the first line has"
    fields = f"{row.actual_columns} field{'s' * (row.actual_columns != 1)}"
    return BadFile("ragged_row", f"has {fields}, but {first} {row.expected_columns}", line=line)


def unclosed(last: pa.RecordBatch, source: Utf8, quote: str) -> bool:
    """Whether the last field swallowed the rest of the file, to its last line's end."""
    value = last.column(last.num_columns - 1)[-1].as_py()
    return value.endswith(("\n", "\r")) and not source.tail.rstrip().endswith(quote.encode())


def endless(file: IO[bytes], dialect: Dialect, bounds: Bounds) -> BadFile:
    """The refusal of a quote that is opened and not closed, or not for a very long time."""
    begin = 1
    for _, before, after in numbered(file, dialect, bounds):
        if after - before > 1:
            begin = before + 1
    sentence = f"a quote ({dialect.quote}) is opened here or below and never closed"
    return BadFile("unclosed_quote", sentence, line=begin)


def line_of(file: IO[bytes], dialect: Dialect, bounds: Bounds, number: int) -> int:
    """The line on which a record ends, counted from 1 as editors do; empty lines are no records."""
    for count, _, after in numbered(file, dialect, bounds):
        if count == number:
            return after
    return number


def numbered(file: IO[bytes], dialect: Dialect, bounds: Bounds) -> Iterator[tuple[int, int, int]]:
    """Each record's number, and how many lines there were before and after it.

    Slower than Arrow, and asked only for saying where something is wrong.
    """
    lines = io.BufferedReader(Lines(Utf8(file, dialect.encoding, bounds)))
    text = io.TextIOWrapper(lines, "utf-8", newline="")
    reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote)
    count = before = 0
    while True:
        try:
            row = next(reader)
        except (StopIteration, csv.Error):
            return
        if row:
            count += 1
            yield count, before, reader.line_num
        before = reader.line_num


class Lines(io.RawIOBase):
    """A stream of UTF-8 as Python's own text layer wants it."""

    def __init__(self, source: Utf8) -> None:
        self.source = source

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        part = self.source.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)
