"""The health check of a worker's container."""

import subprocess
import sys

from tests.databases import ROOT
from tests.service import Service


def asked(service: Service, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.alive"],
        cwd=ROOT,
        env=service.env | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_that_is_warm_is_alive(service: Service) -> None:
    answer = asked(service)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_without_a_worker_it_says_what_lacks(api: Service) -> None:
    answer = asked(api)
    assert (answer.returncode, answer.stderr) == (
        1,
        "no interactive and no training worker is ready\n",
    )


def test_without_a_database_it_says_that(api: Service) -> None:
    answer = asked(api, FALLLINE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert answer.returncode == 1
    assert answer.stderr == "the database does not answer: OperationalError\n"
