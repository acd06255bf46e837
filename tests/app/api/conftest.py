"""What every route is tested with."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import ROOT, environment

OPERATIONS = """
from app.main import create_app
from fastapi.routing import iter_route_contexts
for route in iter_route_contexts(create_app().routes):
    for method in sorted(route.methods or {"GET"}):
        print(method, route.path)
"""


@pytest.fixture(scope="session")
def operations(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """``GET /v1/jobs/{job_id}`` and so on: all that the application answers to."""
    home: Path = tmp_path_factory.mktemp("home")
    env = environment(home, f"sqlite:///{home}/none.db")
    command = [sys.executable, "-c", OPERATIONS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return frozenset(done.stdout.splitlines())
