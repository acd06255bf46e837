"""The ground the other tests stand on: servers that are real, fresh and gone afterwards."""

import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from tests.databases import Database
from tests.servers import Postgres, Process, Redis, eventually
from tests.service import Service

# Starts a child in a session of its own and dies, as a worker does that daemonises by mistake.
ESCAPE = """
import subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep, start_new_session=True)
"""


def test_eventually_gives_the_first_true_value() -> None:
    values = iter([0, 0, 7, 8])
    assert eventually(lambda: next(values), "a value") == 7


def test_eventually_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not within 0 s: rain \(last seen: False\)"):
        eventually(lambda: False, "rain", within=0)


def test_a_process_that_dies_at_its_start_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    process = Process("doomed", command, log=tmp_path / "log", cwd=tmp_path, env={})
    with pytest.raises(AssertionError, match=r"doomed exited with 1:\nno such luck"):
        process.ready(lambda: False)
    assert process not in Process.running


def test_a_broker_that_restarts_has_forgotten_everything() -> None:
    broker = Redis()
    try:
        with broker.client() as client:
            client.set("bell", "rung")
        broker.process.kill()
        broker.start()
        with broker.client() as client:
            assert client.get("bell") is None
    finally:
        broker.close()
    assert not broker.folder.exists()


def test_postgres_is_durable_and_leaves_nothing() -> None:
    server = Postgres()
    try:
        children = psutil.Process(server.process.pid).children(recursive=True)
        with server.connect() as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    finally:
        server.close()
    assert children
    assert not any(child.is_running() for child in children)
    assert not server.folder.exists()


def test_a_fresh_database_has_no_table(database: Database) -> None:
    for _ in range(2):
        with database.empty() as url:
            engine = sa.create_engine(url)
            assert sa.inspect(engine).get_table_names() == []
            with engine.begin() as connection:
                connection.execute(sa.text("CREATE TABLE left_behind (id INTEGER)"))
            engine.dispose()


def test_a_process_that_escapes_its_session_is_found_and_ended(database: Database) -> None:
    with database.empty() as url:
        service = Service(url)
        log = service.home / "escape.log"
        command = [sys.executable, "-c", ESCAPE]
        parent = Process("escape", command, log=log, cwd=service.home, env=service.env)
        assert parent.wait(10) == 0
        eventually(service.tree, "the child runs")
        with pytest.raises(AssertionError, match=r"no process of .* is left"):
            service.close()
    eventually(lambda: not service.tree(), "the child is gone")
    assert not service.home.exists()
