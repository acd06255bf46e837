"""`fallline up`: one command for the whole service, and nothing left of it afterwards."""

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fallline import Client
from tests.databases import ROOT
from tests.fallline.up_process import STOP_SECONDS, Start, nothing_is_left, parts_that_run
from tests.servers import Redis, eventually
from tests.service import free_port


def test_ctrl_c_stops_all_of_it_cleanly(start: Start, home: Path) -> None:
    up = start("--port", "0")
    url = up.wait_ready()
    key = (home / "key").read_text().strip()
    assert key in up.text()
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    with Client(url, key) as client:
        assert client.ready()
        assert a_second_start(home).startswith(
            f"fallline: A Fallline service already runs on {home} at {url}"
        )
        assert client.ready()
    assert up.end(signal.SIGINT) == 0, up.text()
    assert up.text().endswith("Fallline has stopped.\n")
    nothing_is_left(home)


def a_second_start(home: Path) -> str:
    """What a start on a home that is in use says, in one line."""
    command = [sys.executable, "-m", "fallline", "up", "--home", str(home), "--port", "0"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout, second.stderr.count("\n")) == (1, "", 1)
    return second.stderr


# What follows needs no warm worker; importing torch in each child is what takes long.


def test_an_api_that_dies_while_the_rest_starts_is_named(start: Start, home: Path) -> None:
    up = start("--port", "0")
    up.wait_for("(Starting the worker)")
    (api,) = parts_that_run(home, "app", up)
    api.kill()
    assert up.process.wait(STOP_SECONDS) == 1
    assert f"fallline: api was ended by SIGKILL. The end of {home}/logs/api.log:\n" in up.text()
    nothing_is_left(home)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_kill_of_the_command_leaves_no_process_and_it_starts_again(
    start: Start, home: Path
) -> None:
    up = start("--port", "0")
    up.wait_for("(Starting the worker)")
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    again = start("--port", "0")
    again.wait_for("(Starting the worker)")
    assert again.end(signal.SIGTERM) == 0
    nothing_is_left(home)


def test_ctrl_c_while_it_starts_leaves_nothing(start: Start, home: Path) -> None:
    up = start("--port", "0")
    up.wait_for("(Starting the API)")
    assert up.end(signal.SIGINT) == 0, up.text()
    nothing_is_left(home)


def test_a_second_ctrl_c_does_not_wait_for_what_is_stopping(start: Start, home: Path) -> None:
    up = start("--port", "0")
    up.wait_for("(Starting the worker)")
    (supervisor,) = eventually(lambda: parts_that_run(home, "worker", up), "the worker runs")
    supervisor.suspend()  # deaf to SIGTERM
    up.process.send_signal(signal.SIGINT)
    up.wait_for("(Stopping worker)")
    assert up.end(signal.SIGINT) == 0, up.text()
    nothing_is_left(home)


def test_a_broker_of_the_environment_is_used(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = Redis()
    monkeypatch.setenv("FALLLINE_BROKER_URL", redis.url)
    up = start("--port", "0")
    up.wait_for("(Starting the API)")
    assert "Starting Redis" not in up.text()
    assert up.end(signal.SIGINT) == 0, up.text()
    redis.close()


def test_serve_runs_on_a_broker_and_a_database_that_are_there(
    start: Start, home: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = Redis()
    monkeypatch.setenv("FALLLINE_BROKER_URL", redis.url)
    monkeypatch.setenv("FALLLINE_DATABASE_URL", empty_database_url)
    port = free_port()
    serve = start("--port", str(port), command="serve")
    serve.wait_for("(Starting the worker)")
    assert "Starting Redis" not in serve.text()
    with Client(f"http://127.0.0.1:{port}", (home / "key").read_text().strip()) as client:
        assert client.checks()["database"] == client.checks()["broker"] == "ok"
        assert list(client.jobs.list()) == []
    assert not (home / "fallline.db").exists()
    assert serve.end(signal.SIGINT) == 0
    nothing_is_left(home)
    redis.close()


def test_a_home_with_a_long_path_works_too(start: Start, folder: Path) -> None:
    deep = folder / ("x" * 120)
    up = start("--port", "0", at=deep)
    up.wait_for("(Starting the worker)")
    sockets = (deep / "run").readlink()
    assert (sockets / "redis.sock").is_socket()
    assert up.end(signal.SIGINT) == 0, up.text()
    assert not sockets.exists()
    nothing_is_left(deep)


def test_a_port_that_is_taken_leaves_nothing(start: Start, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        up = start("--port", str(port))
        assert up.process.wait(STOP_SECONDS) == 1
    assert up.text().startswith(f"fallline: Port {port} on 127.0.0.1 cannot be used")
    assert not home.exists()


def test_a_home_that_cannot_be_made_is_one_sentence(start: Start, home: Path) -> None:
    home.touch()
    up = start("--port", "0", at=home / "below")
    assert up.process.wait(STOP_SECONDS) == 1
    assert up.text().startswith(f"fallline: The data folder {home}/below cannot be used")
