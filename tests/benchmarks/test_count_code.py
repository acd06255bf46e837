"""What counts as a line of code, a definition, a comment and a docstring."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.count_code import PACKAGES, Unreadable, count_package, count_source
from tests.databases import ROOT

SOURCE = '''"""A module's docstring,

of two lines and a blank one."""

import os  # a comment beside code makes no comment line

LIMIT = 3
"""What a constant is."""
TEXT = """code, for it is assigned:
# no comment,

and a blank line, which is none"""


# why
class Thing:
    """A docstring."""

    # why not
    def method(self) -> str:
        return f"""a string
        of two lines"""


def outer() -> None:
    def inner() -> None: ...

    inner()


async def other(
    a: int,
) -> None: ...


if os.name == "posix":

    def below_an_if() -> None: ...
'''


def test_each_line_is_counted_as_what_it_is() -> None:
    count = count_source(SOURCE)
    assert count._asdict() == {
        "files": 1,
        "code_lines": 17,
        "definitions": 3,  # Thing, outer, other
        "comment_lines": 2,
        "filled_lines": 23,
        "docstrings": 3,
    }
    assert count.comment_share == 2 / 23


def test_an_empty_file_has_no_line() -> None:
    count = count_source("")
    assert count == (1, 0, 0, 0, 0, 0)
    assert count.comment_share == 0


def test_a_comment_before_the_end_and_a_page_break_are_no_code() -> None:
    count = count_source("x = 1\n\x0c\n# the end")
    assert (count.code_lines, count.comment_lines) == (1, 1)


def test_a_file_that_is_no_python_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("x = (\n")
    with pytest.raises(Unreadable, match=r"bad\.py cannot be read as Python"):
        count_package(tmp_path)


def count_code(*trees: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.count_code", *map(str, trees)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_two_trees_are_counted_and_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for tree, source in ((old, "x = 1\n# why\n"), (new, "def f(): ...\ndef g(): ...\ny = 1\n")):
        for package in PACKAGES:
            (tree / package).mkdir(parents=True)
            (tree / package / "__init__.py").write_text(source)
    done = count_code(old, new)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["app", "1", "1", "0", "1", "50.00", "%", "0"] in rows
    assert ["all", "3", "9", "6", "0", "0.00", "%", "0"] in rows
    assert rows[-1] == ["all", "+0", "+6", "+6", "-3", "-50.00", "+0"]


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    done = count_code(tmp_path)
    assert done.returncode == 2
    assert "is no checkout: it has no folder app, worker, training" in done.stderr
