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
        ("app.admin.migrate", {"torch", "sklearn"}),
        # The supervisor outlives every child, so it stays small and opens no device.
        ("worker.__main__", {"torch", "sklearn"}),
        ("worker.celery_pool.app", {"torch", "sklearn"}),
        # Validation needs no torch, and neither does a client.
        ("training.spec.job_spec", {"torch", "sklearn"}),
        ("training.catalog", {"torch", "sklearn"}),
        ("training.spec.plan", {"torch", "sklearn"}),
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
