"""`terminal.at(url)` is the command line; `scripted({…})` the same, at a service by script."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fallline.http.retries import Retries
from tests.fallline.commands.terminal import Fallline, Terminal
from tests.fallline.scripted import Answer, Script, served

Scripted = Callable[[dict[str, list[Answer]]], tuple[Fallline, Script]]


@pytest.fixture
def terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> Terminal:
    monkeypatch.setattr(Retries, "bound", lambda *_: 0.0)
    monkeypatch.setenv("FALLLINE_HOME", f"{tmp_path}/home")
    return Terminal(monkeypatch, capsys)


@pytest.fixture
def scripted(terminal: Terminal) -> Iterator[Scripted]:
    with ExitStack() as stack:

        def start(answers: dict[str, list[Answer]]) -> tuple[Fallline, Script]:
            script = stack.enter_context(served(Script(answers=answers)))
            return terminal.at(script.url), script

        yield start
