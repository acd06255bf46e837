"""What the documents name is there: files, folders, modules, and the links between them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "worker", "training", "fallline", "migrations", "tests", "benchmarks", "docs")
DOCUMENTS = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
)
PLACEHOLDERS = {"docs/adr/NNNN-title.md", "benchmarks/results/"}
"""Paths that stand for others, or are made when something is run."""

PACKAGE = "|".join(PACKAGES)
FILE = re.compile(r"(?<![\w./-])[\w.-]+(?:/[\w.-]+)*\.(?:py|md|toml|yml|yaml|lock)(?![\w/-])")
FOLDER = re.compile(rf"(?<![\w./-])(?:{PACKAGE})/(?:[\w-]+/)*(?![\w{{])")
BRACES = re.compile(rf"(?<![\w./-])(?:{PACKAGE})/(?:[\w/-]+/)?\{{[^}}]+\}}[\w./-]*")
DOTTED = re.compile(rf"(?<![\w./-])(?:{PACKAGE})(?:\.[A-Za-z_]\w*)+(?![\w(/-])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_LINK = re.compile(r"\[`([A-Za-z_][\w.]*)`\]\(([^)\s]+\.py)\)")
INLINE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", document.read_text())


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def expanded(pattern: str) -> Iterator[str]:
    """`a/{b,c}.py` is two paths."""
    head, _, rest = pattern.partition("{")
    names, _, tail = rest.partition("}")
    for name in names.split(","):
        yield f"{head}{name.strip()}{tail}"


def paths(text: str) -> set[str]:
    found = {path for words in BRACES.findall(text) for path in expanded(words)}
    plain = BRACES.sub("", text)
    found |= {path for path in FILE.findall(plain) if "/" in path}
    return found | set(FOLDER.findall(plain))


def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    named = {path for words in INLINE.findall(prose(document)) for path in paths(words)}
    assert {path for path in named - PLACEHOLDERS if not (ROOT / path).exists()} == set()


def test_every_name_of_a_module_of_ours_is_there(document: Path) -> None:
    named = {name for words in INLINE.findall(prose(document)) for name in DOTTED.findall(words)}
    assert {name for name in named if not is_there(name)} == set()


def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    targets = {target.split("#")[0] for target in LINK.findall(prose(document))}
    files = {target for target in targets if target and "://" not in target}
    assert {target for target in files if not (document.parent / target).exists()} == set()


def test_a_name_that_is_a_link_to_a_module_is_defined_there(document: Path) -> None:
    links = set(NAMED_LINK.findall(prose(document)))
    missing = {
        (name, target)
        for name, target in links
        if not defines((document.parent / target).resolve(), tuple(name.split(".")))
    }
    assert missing == set()


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or what a module or a class in it defines."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        module = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if path.is_dir() or module.is_file():
            rest = parts[length:]
            return not rest or (module.is_file() and defines(module, tuple(rest)))
    return False


@cache
def defines(module: Path, names: tuple[str, ...]) -> bool:
    """Whether a module defines the first name, and that the next one, and so on."""
    body = ast.parse(module.read_text()).body
    for name in names:
        found = [node for node in body if name in bound(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement binds where it stands."""
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return {node.name}
        case ast.Assign():
            parts = [part for target in node.targets for part in ast.walk(target)]
            return {part.id for part in parts if isinstance(part, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name for alias in node.names}
    return set()
