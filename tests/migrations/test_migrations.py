"""The revisions and the tables say the same, on both databases and in both directions."""

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.db import make_engine
from app.migrate import configuration


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
