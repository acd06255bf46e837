"""Time in the database: its clock, and moments that come back as they were."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.database.base import db_now
from app.database.session import Database
from app.tables import Job
from tests.app.database.test_session import Tenants, new_job
from tests.servers import eventually

# -- the clock


def test_the_clock_moves_on_within_a_transaction(rows: Database) -> None:
    with rows.session(write=False) as session:
        first = session.scalars(select(db_now())).one()
        eventually(lambda: session.scalars(select(db_now())).one() > first, "a later moment", 5)


def test_the_clock_is_right_and_takes_an_offset(rows: Database) -> None:
    with rows.session(write=False) as session:
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        now = session.scalar(select(db_now()))
        assert now is not None
        assert before <= now <= datetime.now(UTC)
        for seconds in (-3600.0, -0.5, 0.25, 20, 86_400.0 * 400):
            base, moved = session.execute(select(db_now(), db_now(seconds))).one()
            assert abs((moved - base).total_seconds() - seconds) < 0.1


def test_the_clock_compares_with_what_is_stored(rows: Database, tenants: Tenants) -> None:
    def due(session: Session) -> int:
        query = select(func.count()).select_from(Job).where(Job.lease_expires_at < db_now())
        return int(session.scalar(query) or 0)

    with rows.session(tenants[0]) as session:
        session.add(new_job(id="job_a", lease_expires_at=datetime.now(UTC)))
    with rows.session() as session:
        assert due(session) == 1
        session.execute(update(Job).values(lease_expires_at=db_now(0.5)))
        assert due(session) == 0
        session.execute(update(Job).values(lease_expires_at=db_now(-0.01)))
        assert due(session) == 1
        session.execute(update(Job).values(lease_expires_at=None))
        assert due(session) == 0


# -- moments


@pytest.fixture
def abroad(rows: Database) -> Iterator[Database]:
    """The same rows; PostgreSQL's session has another zone."""
    url = rows.engine.url
    if url.drivername.startswith("postgresql"):
        url = url.update_query_dict({"options": "-c timezone=Asia/Kolkata"})
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.dispose()


@pytest.mark.parametrize("hours", [0, 5.5, -8])
def test_a_moment_comes_back_in_utc_whatever_zone_it_was_said_in(
    hours: float, rows: Database, abroad: Database, tenants: Tenants
) -> None:
    zone = timezone(timedelta(hours=hours))
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=zone)
    with abroad.session(tenants[0]) as session:
        session.add(new_job(id="job_a", started_at=moment))
    for database in (rows, abroad):
        with database.session(write=False) as session:
            found = session.get_one(Job, "job_a").started_at
        assert found == moment
        assert found is not None
        assert found.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_our_mistake(rows: Database, tenants: Tenants) -> None:
    def keep() -> None:
        with rows.session(tenants[0]) as session:
            session.add(new_job(started_at=datetime(2024, 1, 1)))  # noqa: DTZ001 -- the mistake

    with pytest.raises((AssertionError, sa.exc.StatementError), match="without its zone"):
        keep()
