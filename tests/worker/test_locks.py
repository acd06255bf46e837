"""Who keeps a SQLite database locked, and what becomes of him."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.config import Settings
from app.db import Database
from app.ids import new_id
from app.tables import Worker
from tests.databases import Sqlite
from worker.locks import WriteLock, holder_of
from worker.process import place
from worker.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell")

HOLD = """
import sqlite3, sys
input()
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
input()
"""


@pytest.fixture
def url() -> Iterator[str]:
    with Sqlite() as kind, kind.migrated() as url:
        yield url


@contextmanager
def holding(
    file: Path, before: Callable[[int], None] = lambda pid: None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of a writing transaction; ``before`` is told its number."""
    command = [sys.executable, "-c", HOLD, str(file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        before(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_holder_is_known_while_he_holds_it(url: str) -> None:
    database = Database(url)
    assert database.file is not None
    with database.session(write=False):
        assert holder_of(database.file) is None
    with holding(database.file) as process:
        assert holder_of(database.file) == process.pid
    with database.session(write=False):
        assert holder_of(database.file) is None
    database.dispose()


def test_only_who_holds_it_at_every_look_has_held_it_for_long(url: str) -> None:
    database = Database(url)
    assert database.file is not None
    lock = WriteLock(database.file)
    with holding(database.file) as process:
        assert lock.held_for(0.0) is None
        assert lock.held_for(0.0) == process.pid
        assert lock.held_for(60.0) is None
        lock.free()
        assert lock.held_for(0.0) is None
    with holding(database.file):
        assert lock.held_for(0.0) is None  # somebody else
    database.dispose()


def test_postgresql_has_no_such_lock() -> None:
    assert WriteLock(None).held_for(0.0) is None


@pytest.mark.parametrize("ours", [True, False])
def test_a_worker_that_keeps_it_locked_is_killed_and_nobody_else(
    url: str, tmp_path: Path, *, ours: bool
) -> None:
    supervisor = Supervisor(
        Settings(home=tmp_path, database_url=url, lease_seconds=0.001, heartbeat_seconds=0.0001)
    )
    assert supervisor.database.file is not None

    def enter(pid: int) -> None:
        with supervisor.database.session() as session:
            here = {"place": place(), "pid": pid if ours else 1}
            more = {"supervisor": "sup_other", "pool": "training", "device": "cpu"}
            session.add(Worker(id=new_id("wrk"), **here, **more))

    with holding(supervisor.database.file, enter) as process:
        supervisor.kill_who_keeps_it_locked()
        assert process.poll() is None
        time.sleep(0.01)
        supervisor.kill_who_keeps_it_locked()
        if ours:
            assert process.wait(10) == -signal.SIGKILL
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
    supervisor.database.dispose()
