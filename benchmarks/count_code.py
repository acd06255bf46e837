"""How much code there is: files, lines, functions and classes, comments and docstrings.

    python -m benchmarks.count_code [TREE ...]

Each TREE is a folder with a checkout; without one, the checkout that this file belongs to. Printed
is a row for each of the packages `app`, `worker` and `training`, and their sum; with two trees or
more, also what the last one has more (+) or less (-) than the first. How it is counted:

- `code lines`: lines that are neither blank nor only a comment nor a docstring.
- `definitions`: functions and classes at the top level of a module, without methods, nested
  functions, and what stands below an `if` or a `try`.
- `comments`: lines that hold nothing but a comment; `share`: of all lines that are not blank.
- `docstrings`: strings that are a statement of their own, also those below a constant.

A file that is no Python ends it with a message and exit code 2.
"""

import argparse
import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "worker", "training")
LAYOUT = frozenset(
    {
        *(tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    }
)
"""Tokens that no line is code for."""
HEAD = ("files", "code lines", "definitions", "comments", "share", "docstrings")


class Unreadable(ValueError):
    """A file is no Python; the message names it."""


class Count(NamedTuple):
    """What was counted of one or several files; `filled_lines` are those that are not blank."""

    files: int = 0
    code_lines: int = 0
    definitions: int = 0
    comment_lines: int = 0
    filled_lines: int = 0
    docstrings: int = 0

    def plus(self, other: "Count", sign: int = 1) -> "Count":
        """The sum of both, or with `sign` -1 the difference."""
        return Count(*(a + sign * b for a, b in zip(self, other, strict=True)))

    @property
    def comment_share(self) -> float:
        """Comment lines among the lines that are not blank, from 0 to 1."""
        return self.comment_lines / self.filled_lines if self.filled_lines else 0.0


def count_source(source: str) -> Count:
    """Count one file's text; raises SyntaxError where it is no Python."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    lines = source.split("\n")
    filled = {number for number, line in enumerate(lines, start=1) if line.strip()}
    code, comments, docstrings = set[int](), set[int](), 0
    for statement in statements(source):
        written = [token for token in statement if token.type != tokenize.COMMENT]
        comments |= {t.start[0] for t in statement if t.type == tokenize.COMMENT}
        if written and all(token.type == tokenize.STRING for token in written):
            docstrings += 1
        else:
            code |= {line for token in written for line in range(token.start[0], token.end[0] + 1)}
    only_comments = {n for n in comments if lines[n - 1].lstrip().startswith("#")}
    return Count(
        files=1,
        code_lines=len(code & filled),
        definitions=sum(isinstance(node, definitions) for node in ast.parse(source).body),
        comment_lines=len(only_comments),
        filled_lines=len(filled),
        docstrings=docstrings,
    )


def statements(source: str) -> Iterator[list[tokenize.TokenInfo]]:
    """The tokens of each statement, comments among them, without those of layout."""
    statement = list[tokenize.TokenInfo]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            statement.append(token)
        elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER) and statement:
            yield statement
            statement = []


def count_package(folder: Path) -> Count:
    """Count all Python files below a folder; raises `Unreadable`."""
    counts = Count()
    for file in sorted(folder.rglob("*.py")):
        try:
            counts = counts.plus(count_source(file.read_text(encoding="utf-8")))
        except (SyntaxError, tokenize.TokenError, UnicodeDecodeError) as error:
            raise Unreadable(f"{file} cannot be read as Python: {error}") from error
    return counts


def count_tree(tree: Path) -> dict[str, Count]:
    """The count of each package of a checkout, and of `all` of them; raises `Unreadable`."""
    counts = {package: count_package(tree / package) for package in PACKAGES}
    return counts | {"all": total(counts.values())}


def total(counts: Iterable[Count]) -> Count:
    """The sum of several."""
    summed = Count()
    for count in counts:
        summed = summed.plus(count)
    return summed


def table(counts: dict[str, Count]) -> str:
    """A row a package."""
    return rows((name, cells(count)) for name, count in counts.items())


def differences(first: dict[str, Count], last: dict[str, Count]) -> str:
    """A row a package: what the last has more than the first; of a share, in percentage points."""
    return rows((name, difference(first[name], last[name])) for name in first)


def difference(first: Count, last: Count) -> list[str]:
    """The cells of one row of differences."""
    change = last.plus(first, -1)
    points = 100 * (last.comment_share - first.comment_share)
    signed = [f"{n:+d}" for n in change._replace(filled_lines=0)]
    return [*signed[:4], f"{points:+.2f}", signed[5]]


def cells(count: Count) -> list[str]:
    """The cells of one row."""
    numbers = [str(n) for n in count]
    return [*numbers[:4], f"{100 * count.comment_share:.2f} %", numbers[5]]


def rows(named: Iterable[tuple[str, list[str]]]) -> str:
    """A table with its head."""
    lines = [("", list(HEAD)), *named]
    return "\n".join(
        f"{name:10}" + "".join(f"{cell:>13}" for cell in written) for name, written in lines
    )


def main() -> None:
    """Print a table a tree, and the difference between the first and the last."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.count_code",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE", default=[ROOT])
    trees = parser.parse_args().trees
    for tree in trees:
        absent = [name for name in PACKAGES if not (tree / name).is_dir()]
        if absent:
            parser.error(f"{tree} is no checkout: it has no folder {', '.join(absent)}")
    try:
        counted = [count_tree(tree) for tree in trees]
    except Unreadable as error:
        parser.error(str(error))
    for tree, counts in zip(trees, counted, strict=True):
        print(f"{tree.resolve()}\n{table(counts)}\n")
    if len(trees) > 1:
        print(f"difference, last to first\n{differences(counted[0], counted[-1])}")


if __name__ == "__main__":
    main()
