"""What is asked of the service, before anything is sent: no I/O but reading a file to upload."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote
from uuid import uuid4

CHUNK_BYTES = 256 * 1024

Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO"
"""What can be uploaded: the path of a file, its bytes, or an open file."""


@dataclass(frozen=True)
class Request:
    """One request. Parameters that are None are left out; `body` goes as JSON, `file` as it is.

    It can be sent again: what acts (POST) has a key by which the service knows a repetition.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    file: Source | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None

    def arguments(self, timeout: float) -> dict[str, Any]:
        """The arguments of httpx2's `request`, but for the content of a file."""
        return {
            "method": self.method,
            "url": self.path,
            "params": {name: v for name, v in self.params.items() if v is not None},
            "json": self.body,
            "headers": self.headers,
            "timeout": self.timeout or timeout,
        }

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again: not with a file that cannot be read twice."""
        return not hasattr(self.file, "read") or self.file.seekable()  # type: ignore[union-attr]


def key_header(key: str | None = None) -> dict[str, str]:
    """The header by which a repeated POST acts once; a new key unless one is given."""
    return {"Idempotency-Key": key or str(uuid4())}


def segment(text: str) -> str:
    """A name or id of the user's as one step of a path; it may hold anything."""
    return quote(text, safe="")


def joined(names: Sequence[str] | None) -> str | None:
    """Names as a comma-separated query value."""
    return ",".join(names) if names else None


def size_of(source: Source) -> int | None:
    """How many bytes will be sent; None where only reading tells."""
    if isinstance(source, bytes):
        return len(source)
    if isinstance(source, (str, os.PathLike)):
        return Path(source).stat().st_size
    return source.seek(0, os.SEEK_END) if source.seekable() else None


def chunks(source: str | os.PathLike[str] | BinaryIO) -> Iterator[bytes]:
    """The bytes of a source, from its start."""
    with opened(source) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """A file that is read from its start; it is closed here only if it was opened here."""
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            yield file
        return
    if source.seekable():
        source.seek(0)
    yield source
