"""The file as text: which encoding it has, and its bytes as UTF-8, looked at as they pass."""

import codecs
import re
from dataclasses import dataclass
from typing import IO, Literal

Encoding = Literal["utf-8", "utf-16", "cp1252", "latin-1"]

BLOCK_BYTES = 1 << 20
TAIL_BYTES = 8
"""Bytes that are remembered of the end."""
MARKS: dict[bytes, Encoding] = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks: what a file begins with when it says what it is."""
COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "ZIP (or a spreadsheet)", b"PAR1": "Parquet"}
ENDS = re.compile(rb"[\r\n]")
DELIMITERS = (",", ";", "\t", "|")


class BadFile(ValueError):
    """The file cannot be used; the message says where and why."""

    def __init__(self, code: str, message: str, *, line: int | None = None) -> None:
        self.code = code
        super().__init__(message if line is None else f"line {line}: {message}")


class UnknownColumn(ValueError):
    """``parameter`` names a column that is not there."""

    def __init__(self, parameter: str, message: str) -> None:
        self.parameter = parameter
        super().__init__(message)


@dataclass(frozen=True)
class Bounds:
    """The largest table that is taken."""

    line_bytes: int = 1_000_000
    columns: int = 2_000
    features: int = 10_000
    categories: int = 100
    classes: int = 1_000


class Watch:
    """Looks at bytes as they pass, so that what could exhaust us is refused before it is there."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.line = 1
        self.length = 0
        self.delimiters = dict.fromkeys(DELIMITERS, 0)
        self.first_line = True

    def look(self, block: bytes) -> None:
        """Raises ``BadFile`` at a NUL, a line without end, or a first line of too many columns."""
        if (nul := block.find(b"\0")) >= 0:
            line = self.line + block.count(b"\n", 0, nul)
            raise BadFile("nul_byte", "holds a NUL byte, so it is no text", line=line)
        begin, most = 0, self.bounds.line_bytes
        while end := ENDS.search(block, begin):
            # Lines are looked at one by one only where one of them could be too long.
            self.cut(block[begin : end.start()])
            self.line += end.group() == b"\n"
            self.first_line = self.first_line and self.length == 0  # an empty line is no header
            self.length, begin = 0, end.end()
            if not self.first_line and len(block) - begin <= most:
                self.line += block.count(b"\n", begin)
                begin = max(block.rfind(b"\n"), block.rfind(b"\r"), begin - 1) + 1
        self.cut(block[begin:])

    def cut(self, piece: bytes) -> None:
        """A part of one line."""
        if self.first_line:
            self.header(piece)
        self.length += len(piece)
        if self.length > self.bounds.line_bytes:
            sentence = f"is longer than the {self.bounds.line_bytes} bytes allowed"
            raise BadFile("line_too_long", sentence, line=self.line)

    def header(self, piece: bytes) -> None:
        """Counts the columns of the first line, by the most frequent delimiter."""
        for delimiter in DELIMITERS:
            self.delimiters[delimiter] += piece.count(delimiter.encode())
        columns = max(self.delimiters.values()) + 1
        if columns > self.bounds.columns:
            raise too_many_columns(self.bounds)


def too_many_columns(bounds: Bounds) -> BadFile:
    """The refusal of a table that is too wide."""
    return BadFile(
        "too_many_columns", f"has more than the {bounds.columns} columns allowed", line=1
    )


def compressed(head: bytes) -> str | None:
    """What a file that is not text is probably made with."""
    return next((name for magic, name in COMPRESSED.items() if head.startswith(magic)), None)


def mark(head: bytes) -> Encoding | None:
    """The encoding that a byte order mark names."""
    return next((encoding for bom, encoding in MARKS.items() if head.startswith(bom)), None)


def detected(file: IO[bytes]) -> Encoding:
    """The encoding of a file: its mark, else UTF-8 if it is that, else what it looks like.

    A file in which UTF-8 characters come before the first byte that is none is damaged UTF-8.
    """
    file.seek(0)
    if found := mark(file.read(4)):
        return found
    file.seek(0)
    decoder, rich, before = codecs.getincrementaldecoder("utf-8")(), False, b""
    while True:
        block = file.read(BLOCK_BYTES)
        try:
            rich = rich or not decoder.decode(block, final=not block).isascii()
        except UnicodeDecodeError as error:
            good = error.object[: error.start]
            if rich or not good.isascii():
                return "utf-8"
            return single_byte(before[-BLOCK_BYTES // 16 :] + block[: BLOCK_BYTES // 16])
        if not block:
            return "utf-8"
        before = block


def single_byte(sample: bytes) -> Encoding:
    """Which encoding of one byte a character a sample is in."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=["cp1252", "latin_1"]).best()
    return "latin-1" if best is not None and best.encoding == "latin_1" else "cp1252"


class Utf8:
    """The file as a stream of UTF-8, which is how Arrow reads it. Ends with a line's end.

    Raises ``BadFile`` where bytes are none of the encoding.
    """

    closed = False

    def __init__(self, file: IO[bytes], encoding: Encoding, bounds: Bounds) -> None:
        file.seek(0)
        self.file = file
        self.encoding = encoding
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        self.decoder = codecs.getincrementaldecoder(codec)()
        self.watch = Watch(bounds)
        self.taken = 0
        self.ready = bytearray()
        self.tail = b"\n"
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; all that is left without one."""
        while not self.ended and (size < 0 or len(self.ready) < size):
            self.fill()
        size = len(self.ready) if size < 0 else size
        part = bytes(self.ready[:size])
        del self.ready[:size]
        return part

    def fill(self) -> None:
        """Decodes one block more."""
        block = self.file.read(BLOCK_BYTES)
        self.taken += len(block)
        self.ended = not block
        try:
            text = self.decoder.decode(block, final=self.ended).encode()
        except UnicodeError as error:
            raise self.undecodable(error) from error
        self.watch.look(text)
        self.tail = (self.tail + text[-TAIL_BYTES:])[-TAIL_BYTES:]
        if self.ended and self.tail[-1:] not in b"\r\n":
            text += b"\n"
        self.ready += text

    def undecodable(self, error: UnicodeError) -> BadFile:
        """Where the bytes stop being text."""
        sentence = f"is not {self.encoding}: state another encoding, or mend the file"
        if not isinstance(error, UnicodeDecodeError):  # UTF-16 without its mark
            return BadFile("wrong_encoding", sentence, line=1)
        good = bytes(error.object[: error.start]).decode(self.encoding, "ignore")
        offset = self.taken - len(error.object) + error.start
        line = self.watch.line + good.count("\n")
        value = error.object[error.start]
        return BadFile(
            "wrong_encoding", f"byte 0x{value:02x} at offset {offset} {sentence}", line=line
        )

    def readable(self) -> bool:
        """For Arrow."""
        return True

    def writable(self) -> bool:
        """For Arrow."""
        return False

    def seekable(self) -> bool:
        """For Arrow."""
        return False

    def close(self) -> None:
        """The file is its owner's."""
