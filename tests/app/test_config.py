"""Settings: what is wrong is said at the start."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.config import Settings, is_loopback
from tests.databases import ROOT, environment


def test_without_any_setting_everything_lies_in_the_home_and_only_this_machine_connects(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = Settings()
    assert settings.home == tmp_path / ".fallline"
    assert settings.database_url == f"sqlite:///{tmp_path}/.fallline/fallline.db"
    assert settings.broker_url == f"redis+socket://{tmp_path}/.fallline/redis.sock"
    assert settings.storage == tmp_path / ".fallline/objects"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALLLINE_HOME", str(tmp_path))
    monkeypatch.setenv("FALLLINE_PORT", "0")
    monkeypatch.setenv("FALLLINE_MAX_PARAMETERS", "12")
    monkeypatch.setenv("FALLLINE_DATABASE_URL", "postgresql+psycopg://nowhere/x")
    settings = Settings()
    assert (settings.home, settings.port) == (tmp_path, 0)
    assert settings.limits.parameters == 12
    assert settings.database_url == "postgresql+psycopg://nowhere/x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", "-1"),
        ("port", "65536"),
        ("max_parameters", "0"),
        ("max_iterations", "-1"),
        ("max_layers", "many"),
        ("max_inline_values", "0"),
        ("max_body_bytes", "10MB"),
        ("max_prediction_rows", "0"),
        ("worker_processes", "0"),
        ("heartbeat_seconds", "0"),
        ("lease_seconds", "-1"),
        ("sweep_seconds", "nan"),
        ("stall_seconds", "soon"),
        ("watchdog_seconds", "0"),
        ("replay_wait_seconds", "0"),
        ("replay_max_parameters", "0"),
        ("replay_max_iterations", "1e3.5"),
        ("allow_remote", "perhaps"),
    ],
)
def test_nonsense_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FALLLINE_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "127.0.0.1x"])  # noqa: S104 -- refused
def test_another_address_than_loopback_must_be_asked_for(host: str) -> None:
    with pytest.raises(ValidationError, match="FALLLINE_ALLOW_REMOTE"):
        Settings(host=host)
    assert Settings(host=host, allow_remote=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).host == host


def test_nobody_changes_the_settings_of_a_running_process() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("module", ["app", "worker"])
def test_a_process_with_a_wrong_setting_does_not_start(module: str, tmp_path: Path) -> None:
    env = environment(tmp_path, f"sqlite:///{tmp_path}/x.db", host="0.0.0.0")  # noqa: S104 -- refused
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "set FALLLINE_ALLOW_REMOTE=true if that is meant" in done.stderr
    assert not (tmp_path / "x.db").exists()
