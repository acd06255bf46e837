"""`fallline up`: one command for the whole service, and nothing left of it afterwards."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fallline import Client
from tests.databases import ROOT
from tests.fallline.processes import processes_of
from tests.servers import Redis, eventually
from tests.service import free_port

START_SECONDS = 180.0
STOP_SECONDS = 30.0


class Up:
    """`fallline up`, or `serve`, on a home of its own, as somebody would type it."""

    def __init__(self, home: Path, output: Path, *arguments: str, command: str = "up") -> None:
        self.output = output
        with output.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fallline", command, *arguments],
                cwd=ROOT,
                env={**os.environ, "FALLLINE_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> str:
        """The URL, once it is printed; then every part is up and warm."""
        return self.wait_for(r"URL +(http://\S+)")

    def wait_for(self, pattern: str) -> str:
        """What the group of `pattern` found in the output, once it is there."""

        def found() -> str | None:
            assert self.process.poll() is None, self.text()
            match = re.search(pattern, self.text())
            return match and match[1]

        return eventually(found, f"{pattern} is printed", START_SECONDS) or ""

    def end(self, with_signal: signal.Signals) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(STOP_SECONDS)


Start = Callable[..., Up]


def parts(home: Path) -> list[psutil.Process]:
    """Every process of the service in `home`, whatever became of its parents."""
    return processes_of(home, "FALLLINE_HOME")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket; pytest's tmp_path is not."""
    folder = Path(tempfile.mkdtemp(prefix="fl-up-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(folder: Path) -> Path:
    """The path of a home that does not exist yet."""
    return folder / "home"


@pytest.fixture
def start(folder: Path, home: Path) -> Iterator[Start]:
    """Starts `fallline up` on `home`, or on another; a failing test leaves no process either."""
    homes = {home}

    def up(*arguments: str, at: Path = home, command: str = "up") -> Up:
        homes.add(at)
        return Up(at, folder / "out", *arguments, command=command)

    yield up
    for process in [process for each in homes for process in parts(each)]:
        process.kill()


def nothing_is_left(home: Path) -> None:
    eventually(lambda: not parts(home), f"no process of {home} is left", STOP_SECONDS)
    assert not os.path.lexists(home / "run")


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


def test_a_worker_that_dies_is_named_with_its_log_and_the_rest_stops(
    start: Start, home: Path
) -> None:
    up = start("--port", "0")
    up.wait_ready()
    (supervisor,) = parts_that_run(home, "worker", up)
    supervisor.kill()
    assert up.process.wait(STOP_SECONDS) == 1
    died = f"fallline: worker was ended by SIGKILL. The end of {home}/logs/worker.log:\n"
    assert died in up.text()
    nothing_is_left(home)


def parts_that_run(home: Path, module: str, up: Up) -> list[psutil.Process]:
    """The processes that `up` itself started for a module of the service."""
    ours = [process for process in parts(home) if process.ppid() == up.process.pid]
    return [process for process in ours if process.cmdline()[-2:] == ["-m", module]]


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
