"""Who keeps a SQLite database locked, and what becomes of him."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.database.session import Database
from app.ids import new_id
from app.tables import Worker
from tests.databases import Sqlite
from worker.process.os_process import place
from worker.supervision.sqlite_lock import WriteLock, holder_of
from worker.supervision.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell")

HOLD = """
import fcntl, sqlite3, sys
input()
{what}
print("held", flush=True)
input()
"""
WRITING = """
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
"""
CHECKPOINTING = """
shared = open(sys.argv[1] + "-shm", "r+b")
fcntl.lockf(shared, fcntl.LOCK_EX, 1, 121)
"""
"""As who brings the log into the file: others may write meanwhile."""


@pytest.fixture
def url() -> Iterator[str]:
    with Sqlite() as kind, kind.migrated() as url:
        yield url


@contextmanager
def holding(
    file: Path, before: Callable[[int], None] = lambda pid: None, what: str = WRITING
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of a writing transaction; ``before`` is told its number."""
    command = [sys.executable, "-c", HOLD.format(what=what), str(file)]
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
    with database.session(write=False) as session:
        session.execute(select(Worker.id))
        assert holder_of(database.file) is None
    with holding(database.file) as process:
        assert holder_of(database.file) == process.pid
    with database.session(write=False) as session:
        session.execute(select(Worker.id))
        assert holder_of(database.file) is None
    database.dispose()


def test_each_of_two_databases_has_its_own_holder(url: str, tmp_path: Path) -> None:
    database, other = Database(url), Database(f"sqlite:///{tmp_path}/other.db")
    assert database.file is not None
    assert other.file is not None
    with holding(database.file) as process, other.session() as session:
        session.connection()
        assert (holder_of(database.file), holder_of(other.file)) == (process.pid, os.getpid())
    other.dispose()
    database.dispose()


def test_who_brings_the_log_into_the_file_keeps_nobody_from_writing(url: str) -> None:
    database = Database(url)
    assert database.file is not None
    with database.session(write=False) as session:
        session.execute(select(Worker.id))
        with holding(database.file, what=CHECKPOINTING):
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


def test_who_lets_it_go_between_two_looks_holds_it_anew(url: str) -> None:
    database = Database(url)
    assert database.file is not None
    lock = WriteLock(database.file)
    for _ in range(2):
        with database.session() as session:
            session.connection()
            assert lock.held_for(0.0) is None
        assert lock.held_for(0.0) is None
    database.dispose()


def test_postgresql_has_no_such_lock() -> None:
    assert WriteLock(None).held_for(0.0) is None


WHO: dict[str, dict[str, Any]] = {
    "a worker": {"place": place(), "supervisor": "sup_other"},
    "nobody of ours": {"place": place(), "pid": 1},
    "another machine's number": {"place": "elsewhere"},
}


@pytest.mark.parametrize("who", WHO)
def test_a_worker_that_keeps_it_locked_is_killed_and_nobody_else(
    url: str, tmp_path: Path, who: str
) -> None:
    supervisor = Supervisor(
        Settings(home=tmp_path, database_url=url, lease_seconds=1, heartbeat_seconds=0.5)
    )
    assert supervisor.database.file is not None

    def enter(pid: int) -> None:
        row: dict[str, Any] = {"id": new_id("wrk"), "pid": pid, "pool": "training", "device": "cpu"}
        row |= {"supervisor": supervisor.id} | WHO[who]
        with supervisor.database.session() as session:
            session.add(Worker(**row))

    with holding(supervisor.database.file, enter) as process:
        for _ in range(2):
            supervisor.kill_who_keeps_it_locked()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.1)
        supervisor.kill_who_keeps_it_locked()
        if who == "a worker":
            assert process.wait(10) == -signal.SIGKILL
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
    supervisor.database.dispose()
