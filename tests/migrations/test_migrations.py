"""The revisions and the tables say the same, on both databases and in both directions."""

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.admin.migrate import configuration
from app.database.engine import make_engine


@pytest.fixture
def alembic(empty_database_url: str) -> Config:
    return configuration(empty_database_url)


def tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_the_revisions_build_exactly_the_tables_of_the_code(alembic: Config) -> None:
    command.upgrade(alembic, "head")
    command.check(alembic)


def test_every_revision_can_be_taken_back_and_made_again(
    alembic: Config, empty_database_url: str
) -> None:
    command.upgrade(alembic, "head")
    built = tables(empty_database_url)
    command.downgrade(alembic, "base")
    assert tables(empty_database_url) == {"alembic_version"}
    command.upgrade(alembic, "head")
    assert tables(empty_database_url) == built != {"alembic_version"}


ROWS = (
    "INSERT INTO tenants (id, name, created_at) VALUES ('tnt_1', 'first', CURRENT_TIMESTAMP)",
    "INSERT INTO jobs (id, tenant_id, name, spec, metadata, priority, device_wanted, iterations, "
    "series, request_id, state, fence, attempts, deaths, iteration, epoch, attempt_iteration, "
    "attempt_first_iteration, latest, best, created_at) VALUES ('job_1', 'tnt_1', 'n', '{}', '{}', "
    "0, 'auto', 9, '[]', 'r', 'queued', 0, 0, 0, 0, 0, 0, 0, '{}', '{}', CURRENT_TIMESTAMP)",
    "INSERT INTO checkpoints (id, tenant_id, job_id, iteration, location, sha256, size, "
    "created_at) VALUES ('ckpt_1', 'tnt_1', 'job_1', 5, 'a', 'b', 1, CURRENT_TIMESTAMP)",
)


def test_an_upgrade_keeps_what_was_recorded(alembic: Config, empty_database_url: str) -> None:
    command.upgrade(alembic, "0001")
    engine = make_engine(empty_database_url).execution_options(write=True)
    with engine.begin() as connection:
        for statement in ROWS:
            connection.exec_driver_sql(statement)
    command.upgrade(alembic, "head")
    with engine.begin() as connection:
        counts = [
            connection.exec_driver_sql(statement).scalar()
            for statement in ("SELECT count(*) FROM jobs", "SELECT count(*) FROM checkpoints")
        ]
    engine.dispose()
    assert counts == [1, 1]
