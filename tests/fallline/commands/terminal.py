"""A terminal in which commands are typed: what they print, and how they end."""

import io
import sys
from dataclasses import dataclass
from typing import Protocol

import pytest

from fallline.cli import main


@dataclass(frozen=True)
class Said:
    """What a command said: its exit code, its data, and its remarks."""

    code: int
    out: str
    err: str


class Fallline(Protocol):
    """`fallline("jobs", "list", stdin="…")`"""

    def __call__(self, *arguments: str, stdin: str = "") -> Said: ...


@dataclass(frozen=True)
class Terminal:
    """Runs the command line in this process, with the environment of `patch`."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def at(self, url: str, key: str = "secret") -> Fallline:
        """A command line that asks the service at `url`."""
        self.patch.setenv("FALLLINE_URL", url)
        self.patch.setenv("FALLLINE_API_KEY", key)
        return self.type

    def type(self, *arguments: str, stdin: str = "") -> Said:
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code = ended.value.code
        said = self.capture.readouterr()
        return Said(code if isinstance(code, int) else 0, said.out, said.err)
