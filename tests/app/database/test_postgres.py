"""PostgreSQL that is silent, and sessions that it ends."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from app.database import postgres
from app.database.engine import make_engine
from app.database.session import Database
from app.ids import new_id
from app.tables import Tenant
from tests.databases import Postgresql
from tests.faults.proxy import Mode, Proxy
from tests.servers import eventually


@pytest.fixture(scope="module")
def kind() -> Iterator[Postgresql]:
    """There is nothing between a process and SQLite, so this is for PostgreSQL alone."""
    with Postgresql() as made:
        yield made


@pytest.fixture
def url(kind: Postgresql) -> Iterator[str]:
    with kind.migrated() as made:
        yield made


@pytest.fixture
def proxy(kind: Postgresql) -> Iterator[Proxy]:
    """Between this process and the server."""
    behind = kind.server.folder / ".s.PGSQL.5432"
    with tempfile.TemporaryDirectory(prefix="fl-far-") as folder:
        made = Proxy(Path(folder) / behind.name, behind)
        yield made
        made.close()


@pytest.fixture
def far(proxy: Proxy, url: str) -> Iterator[Database]:
    """The database as it is reached through the proxy."""
    made = Database(url.replace(str(proxy.behind.parent), str(proxy.path.parent)))
    yield made
    made.dispose()


@pytest.fixture
def near(url: str) -> Iterator[Database]:
    """The database as others reach it."""
    made = Database(url)
    yield made
    made.dispose()


def count(database: Database) -> int:
    with database.session(write=False) as session:
        return len(session.scalars(select(Tenant.id)).all())


@pytest.mark.parametrize("mode", ["drop", "deaf", "mute"])
def test_a_server_that_says_nothing_is_an_error_and_the_next_connection_a_new_one(
    mode: Mode, proxy: Proxy, far: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2)
    there = count(far)
    proxy.tell(mode)
    for _ in range(2):  # on a connection that was there, and for want of a new one
        began = time.monotonic()
        with pytest.raises(OperationalError):
            count(far)
        assert time.monotonic() - began < 10
    proxy.tell("pass")
    assert count(far) == there


def test_what_was_given_up_within_a_transaction_leaves_no_lock(
    proxy: Proxy, far: Database, near: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.5)

    def write() -> None:
        with far.session() as session:
            session.add(Tenant(id=new_id("tnt"), name="cut off"))
            session.flush()
            proxy.tell("mute")
            session.execute(text("SELECT 1"))

    with pytest.raises(OperationalError):
        write()
    proxy.tell("pass")
    with near.session() as session:
        session.add(Tenant(id=new_id("tnt"), name="cut off"))
    assert count(near) == 2


def test_a_session_that_stands_still_in_a_transaction_is_ended_and_that_is_operational(
    proxy: Proxy, far: Database, near: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_SECONDS", 1)

    def stand_still() -> None:
        with far.session() as session:
            tenant = session.scalars(select(Tenant).with_for_update()).one()
            eventually(lambda: free(near), "others can lock it", within=10, every=0.1)
            tenant.name = "too late"

    with pytest.raises(OperationalError):
        stand_still()
    assert count(far) == 1


def test_one_that_stands_still_within_an_exchange_is_ended_by_who_looks(
    url: str, near: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = Database(url)

    def stand_still() -> None:
        with still.engine.connect() as borrowed:
            connection = borrowed.connection.driver_connection
            assert isinstance(connection, postgres.Connection)
            monkeypatch.setattr(postgres, "IDLE_SECONDS", 1)  # the server has heard of 15
            with connection.pipeline():
                connection.execute("UPDATE tenants SET name = 'half said'")
                connection.pgconn.send_flush_request()
                connection.pgconn.flush()
                eventually(lambda: not free(near), "it has the lock", within=10)
                assert look(near) == 0, "ended too early"
                eventually(lambda: look(near), "it is ended", within=10, every=0.1)
                eventually(lambda: free(near), "others can lock it", within=10)

    with pytest.raises(psycopg.OperationalError):
        stand_still()
    still.dispose()


def test_one_that_works_or_has_written_nothing_is_left_alone(
    near: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_SECONDS", 0)

    def work() -> None:
        with near.session() as session:
            session.execute(text("UPDATE tenants SET name = 'long'"))
            session.execute(text("SELECT pg_sleep(1)"))

    with near.session(write=False) as reader, ThreadPoolExecutor() as pool:
        reader.scalars(select(Tenant.id)).all()
        working = pool.submit(work)
        eventually(lambda: not free(near), "it works", within=10)
        assert look(near) == 0
        working.result()


def look(database: Database) -> int:
    """How many sessions were ended."""
    with database.session(write=False) as session:
        return postgres.end_stuck_sessions(session)


def free(database: Database) -> bool:
    """Whether nobody has locked the tenants."""
    with database.session() as session:
        query = select(Tenant.id).with_for_update(skip_locked=True)
        return bool(session.scalars(query).all())


def test_one_that_changes_the_schema_takes_its_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.2)
    for patient in (True, False):
        engine = make_engine(url, patient=patient)
        with engine.connect() as connection:
            if patient:
                connection.execute(text("SELECT pg_sleep(1)"))
            else:
                with pytest.raises(OperationalError):
                    connection.execute(text("SELECT pg_sleep(1)"))
        engine.dispose()
