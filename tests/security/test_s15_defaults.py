"""S15, defaults: without a word from anybody, only this machine connects, and only with a key.

Which addresses are refused is asked in ``tests/app/test_config.py``, which port Compose publishes
in ``tests/packaging/test_compose.py``.
"""

import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from tests.databases import ROOT, environment
from tests.fallline.processes import processes_of
from tests.servers import eventually
from tests.service import Service, free_port


def listening(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes wait for connections."""
    found = [c for process in processes for c in process.net_connections(kind="inet")]
    return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


def test_a_running_service_listens_on_loopback_alone(service: Service) -> None:
    addresses = listening(service.tree())
    assert addresses
    assert all(ip_address(address).is_loopback for address in addresses)


def test_no_process_of_an_embedded_service_listens_anywhere_else(tmp_path: Path) -> None:
    """As ``fallline up`` is typed on a new machine; only the port is chosen, so that it is free."""
    home = tmp_path / "home"
    env = environment(home, "", port=free_port())
    for name in ("FALLLINE_DATABASE_URL", "TMPDIR"):
        del env[name]
    with (tmp_path / "out").open("w") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "fallline", "up"], cwd=ROOT, env=env, stdout=out, stderr=out
        )
    try:
        text = (tmp_path / "out").read_text
        eventually(lambda: "Starting the worker" in text(), "the API answers", within=120)
        parts = processes_of(home, "FALLLINE_HOME")
        assert {p.name() for p in parts} & {"redis-server", "valkey-server"}
        assert listening(parts) == {"127.0.0.1"}
        (socket,) = home.glob("run/redis.sock")
        assert socket.stat().st_mode & 0o077 == 0
        assert home.stat().st_mode & 0o777 == 0o700
    finally:
        up.terminate()
        up.wait(30)


def test_two_installations_have_no_key_in_common_and_none_is_known_before(tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        home = tmp_path / name
        command = [sys.executable, "-m", "app.admin.migrate"]
        env = environment(home, f"sqlite:///{home}/fallline.db", api_key="chosen-by-somebody")
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
        keys.add((home / "key").read_text().strip())
        # A second start makes no other.
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True)
        assert (home / "key").read_text().strip() in keys
    assert len(keys) == 2
    assert "chosen-by-somebody" not in keys
    assert min(len(key) for key in keys) > 43


@pytest.mark.parametrize("guess", ["admin", "fallline", "default", "key", "changeme", "null"])
def test_no_key_that_somebody_might_guess_opens_it(guess: str, api: Service) -> None:
    for header in (f"Bearer {guess}", f"Bearer fl_{guess}_{guess}", guess):
        answer = api.http.get("/v1/jobs", headers={"Authorization": header})
        assert answer.status_code == 401, header


@pytest.mark.parametrize("module", ["app", "worker", "app.admin.migrate"])
def test_an_address_that_others_reach_is_refused_until_it_is_asked_for(
    module: str, tmp_path: Path
) -> None:
    env = environment(tmp_path, f"sqlite:///{tmp_path}/x.db", host="0.0.0.0")  # noqa: S104 -- refused
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FALLLINE_ALLOW_REMOTE" in done.stderr
    assert not (tmp_path / "x.db").exists()
