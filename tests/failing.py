"""SQLite's method: the n-th call to the operating system fails, for every n.

Wrapped are Python's own functions for files below one folder; what calls them is the real thing.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Calls:
    """``made``: calls that change files; number ``fails`` raises ``code`` and is ``failed``."""

    def __init__(self, root: Path, fails: int, code: int) -> None:
        self.root = root
        self.fails = fails
        self.code = code
        self.made = list[str]()
        self.failed: str | None = None

    def due(self, name: str) -> bool:
        """One more; whether it is the one that fails."""
        self.made.append(name)
        if len(self.made) == self.fails:
            self.failed = name
        return len(self.made) == self.fails

    def error(self) -> OSError:
        return OSError(self.code, os.strerror(self.code))

    def guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The function; of those that are given paths only such below the folder are counted."""

        def call(first: Any, *rest: Any, **options: Any) -> Any:
            ours = isinstance(first, int) or str(first).startswith(str(self.root))
            if ours and self.due(name):
                raise self.error()
            return real(first, *rest, **options)

        return call

    def open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Files that are made here are written by ``Written``."""

        def call(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            ours = isinstance(file, Path | str) and str(file).startswith(str(self.root))
            if not ours or "x" not in mode:
                return real(file, mode, *rest, **options)
            if self.due("open"):
                raise self.error()
            raw = Written(self, file, mode.replace("b", ""))
            return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

        return call


class Written(io.FileIO):
    """A file; a write that fails has written half, as on a disk that becomes full."""

    def __init__(self, calls: Calls, file: Any, mode: str) -> None:
        super().__init__(file, mode)
        self.calls = calls

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.calls.due("write"):
            super().write(view[: len(view) // 2])
            raise self.calls.error()
        return super().write(view)


@contextmanager
def failing(root: Path, n: int, code: int = errno.ENOSPC) -> Iterator[Calls]:
    """The n-th call under a folder fails, of: mkdir, open, write, fsync, rename, link; with 0
    none does."""
    calls = Calls(root, n, code)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("mkdir", "fsync", "rename", "link"):
            patch.setattr(os, name, calls.guarded(name, getattr(os, name)))
        patch.setattr(io, "open", calls.open(io.open))
        yield calls
