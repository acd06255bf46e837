"""The command line: its answers to mistakes, its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.databases import ROOT


def fallline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fallline", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_shows_every_command() -> None:
    shown = fallline("--help")
    assert shown.returncode == 0
    assert all(f"  {name} " in shown.stdout for name in ("up", "serve", "api", "jobs", "predict"))


def test_an_unknown_command_is_wrong_usage() -> None:
    assert fallline("upp").returncode == 2


def test_a_port_that_is_none_is_wrong_usage() -> None:
    refused = fallline("up", FALLLINE_PORT="http")
    assert refused.returncode == 2
    assert "FALLLINE_PORT" in refused.stderr


def test_serve_wants_a_broker_that_is_there_already(tmp_path: Path) -> None:
    refused = fallline("serve", FALLLINE_HOME=str(tmp_path / "home"))
    assert refused.returncode == 1
    assert "FALLLINE_BROKER_URL is not set" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_migrate_is_the_services_own_and_makes_the_key_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = {"FALLLINE_HOME": str(home), "FALLLINE_BROKER_URL": "redis+socket:///none.sock"}
    assert fallline("migrate", **settings).returncode == 0
    key = (home / "key").read_text()
    assert fallline("migrate", **settings).returncode == 0
    assert (home / "key").read_text() == key


def test_a_command_passes_on_the_exit_code_and_words_of_the_service(tmp_path: Path) -> None:
    failed = fallline("migrate", FALLLINE_HOME=str(tmp_path), FALLLINE_DATABASE_URL="nonsense://")
    assert failed.returncode not in {0, 2}
    assert failed.stderr
