"""Rules about the code itself. The import contracts beside these are in pyproject.toml."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.databases import ROOT, environment
from tests.service import Service

PACKAGES = ("app", "worker", "training", "fallline", "migrations")
SOURCES = sorted(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))
EVERYTHING = SOURCES + sorted(
    f for name in ("tests", "benchmarks") for f in (ROOT / name).rglob("*.py")
)

MOST_LINES_A_FILE = 400
MOST_LINES_A_FUNCTION = 60

# What turns data into code: whoever reads a file or a message with these runs what is in it.
CODE_FROM_DATA = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("jinja2", "mako", "code", "codeop"),  # templates and interpreters
}
UNSAFE_CALLS = {
    "__import__",
    "asyncio.create_subprocess_shell",
    "code.interact",
    "compile",
    "eval",
    "exec",
    "os.popen",
    "os.system",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "torch.load",
    "torch.save",
    "yaml.load",
}

# Whoever adds to this list opens a door.
PUBLIC = {
    *("GET /healthz", "GET /readyz", "GET /openapi.json"),
    *("GET /docs", "GET /docs/start.js", "GET /docs/{name}"),
}

OPERATIONS = """
from app.main import create_app
from fastapi.routing import iter_route_contexts
for route in iter_route_contexts(create_app().routes):
    for method in sorted(route.methods or {"GET"}):
        print(method, route.path)
"""


def place(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(), str(file))):
            yield file, node


def test_nothing_turns_data_into_code() -> None:
    found = [f"{place(file, node)} {why}" for file, node in nodes() for why in unsafe(node)]
    assert found == []


def unsafe(node: ast.AST) -> Iterator[str]:
    """What is wrong with one node of the syntax tree."""
    match node:
        case ast.Import(names=names):
            yield from (n.name for n in names if n.name.split(".")[0] in CODE_FROM_DATA)
        case ast.ImportFrom(module=str(module)) if module.split(".")[0] in CODE_FROM_DATA:
            yield module
        case ast.Call(func=func, keywords=keywords):
            if ast.unparse(func) in UNSAFE_CALLS:
                yield ast.unparse(func)
            for keyword in keywords:
                if keyword.arg in {"allow_pickle", "shell"} and not is_false(keyword.value):
                    yield f"{keyword.arg}={ast.unparse(keyword.value)}"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=flag)",
        "subprocess.run(command, shell=True)",
        "asyncio.create_subprocess_shell(command)",
        "from jinja2 import Template",
    ],
)
def test_the_rule_above_sees(line: str) -> None:
    assert [why for node in ast.walk(ast.parse(line)) for why in unsafe(node)]


def test_no_file_is_long() -> None:
    lengths = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in EVERYTHING}
    assert {file: n for file, n in lengths.items() if n > MOST_LINES_A_FILE} == {}


def test_no_function_is_long() -> None:
    lengths = {
        f"{place(file, node)} {node.name}": node.end_lineno - node.lineno + 1
        for file, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert {name: n for name, n in lengths.items() if n > MOST_LINES_A_FUNCTION} == {}


def fresh_interpreter(code: str, tmp_path: Path) -> set[str]:
    """The lines that ``code`` prints in a process of its own."""
    env = environment(tmp_path, f"sqlite:///{tmp_path}/none.db")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        # A request must not wait for torch: app.inference imports it when somebody predicts.
        ("app.main", {"torch", "sklearn", "celery.worker", "celery.apps.worker"}),
        ("app.migrate", {"torch", "sklearn"}),
        # The supervisor outlives every child, so it stays small and opens no device.
        ("worker.__main__", {"torch", "sklearn"}),
        ("worker.celery_app", {"torch", "sklearn"}),
        # Validation needs no torch, and neither does a client.
        ("training.spec", {"torch", "sklearn"}),
        ("training.catalog", {"torch", "sklearn"}),
        ("training.plan", {"torch", "sklearn"}),
        ("fallline.cli", {"torch", "sklearn", "sqlalchemy", "celery", "fastapi"}),
    ],
)
def test_importing_it_stays_light(module: str, heavy: set[str], tmp_path: Path) -> None:
    code = f"import {module}, sys\nfor name in sys.modules: print(name)"
    assert fresh_interpreter(code, tmp_path) & heavy == set()


@pytest.mark.parametrize(
    "authorization", ["", "Bearer guessed", "Basic Og=="], ids=["none", "wrong", "basic"]
)
def test_every_route_but_the_public_ones_is_closed(
    authorization: str, api: Service, tmp_path: Path
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    with httpx2.Client(base_url=api.url, headers=headers, trust_env=False) as stranger:
        operations = fresh_interpreter(OPERATIONS, tmp_path)
        answers = {operation: stranger.request(*call(operation)) for operation in operations}
    refused = {o for o, answer in answers.items() if answer.status_code == 401}
    assert operations - refused == PUBLIC
    assert {answers[o].json()["code"] for o in refused} == {"unauthenticated"}


def call(operation: str) -> tuple[str, str]:
    """The method and a path, with something in the place of each parameter."""
    method, path = operation.split(" ", 1)
    return method, re.sub(r"\{[^}]*\}", "1", path)
