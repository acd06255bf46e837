"""Brings the schema to its head and opens the door: ``python -m app.admin.migrate``.

The first run creates the tenant ``default`` and one key with every scope, written to
``$FALLLINE_HOME/key``.
"""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url, select
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings, get_settings
from app.database.session import Database
from app.ids import new_id
from app.services.tenancy.keys import mint
from app.tables import Tenant


def configuration(url: str) -> Config:
    """Alembic's configuration; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.attributes["url"] = url
    return config


def migrate(settings: Settings) -> None:
    """Schema to head, first tenant and key when there is none."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    command.upgrade(configuration(settings.database_url), "head")
    database = Database(settings.database_url)
    with database.session() as session:
        if session.scalar(select(Tenant.id).limit(1)) is None:
            tenant = Tenant(id=new_id("tnt"), name="default")
            session.add(tenant)
            session.flush()
            # Written before the commit: a key that nobody can read would be lost for ever.
            write_private(settings.home / "key", mint(session, tenant.id).secret)
    database.dispose()


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read, from its first moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    try:
        migrate(get_settings())
    except SQLAlchemyError as error:
        where = make_url(get_settings().database_url).render_as_string(hide_password=True)
        sys.exit(f"the database {where} cannot be migrated: {str(error).splitlines()[0]}")
