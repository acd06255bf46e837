"""Whether this machine's worker works: ``python -m worker.supervision.healthcheck``, the health
check of a container.

It asks the database for warm children of each pool that run here and were seen lately.
"""

import sys

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.config import get_settings
from app.database.base import db_now
from app.database.session import Database
from app.services.operations.workers import SILENCE_SECONDS
from app.tables import Worker
from worker.process.os_process import place

POOLS = {"training", "interactive"}


def missing(database: Database) -> set[str]:
    """The pools that have no warm child here."""
    here = select(Worker.pool).where(
        Worker.place == place(), Worker.seen_at > db_now(-SILENCE_SECONDS)
    )
    with database.session(write=False) as session:
        return POOLS - set(session.scalars(here))


def main() -> None:
    """Exit code 0, or 1 and what is the matter."""
    try:
        lacking = missing(Database(get_settings().database_url))
    except SQLAlchemyError as error:
        sys.exit(f"the database does not answer: {type(error).__name__}")
    if lacking:
        sys.exit(f"no {' and no '.join(sorted(lacking))} worker is ready")


if __name__ == "__main__":
    main()
