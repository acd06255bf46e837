"""Removes what nobody needs any more: checkpoints of jobs that ended long ago, and orphans, files
that no row names (whoever made them died before its commit, or after that of a deletion).

Supervisors do it a little at each sweep, and one at a time, on whatever machine: the files are
shared, and so is their lock.
"""

import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import structlog
from sqlalchemy import select

from app.config import Settings
from app.database.session import Database
from app.services.datasets.dataset_repository import forget
from app.storage import Storage
from app.tables import Checkpoint, Dataset, ModelVersion
from worker.maintenance.checkpoint_retention import expire_ended, thin_ended

log = structlog.get_logger()

MAX_STEP_SECONDS = 0.1
"""Seconds that a step may take; a folder, or the checkpoints of a few jobs, it does in any case."""
ROUND_SECONDS = 600.0
"""Seconds between two rounds over everything."""
MAX_NAMES_COUNT = 500
"""Files that are looked up by one query."""
NAMED_BY: dict[str, type[Checkpoint] | type[ModelVersion] | type[Dataset]] = {
    "ckpt": Checkpoint,
    "model": ModelVersion,
    "dataset": Dataset,
}
"""The table whose rows name the files of a kind."""


class Housekeeper:
    """Goes its rounds, a step at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.storage = Storage(settings.storage)
        self.orphans = 0
        self.rest_until = 0.0
        self.round: Iterator[None] | None = None

    def tidy(self) -> None:
        """A step, if there is anything to do and nobody else is at it."""
        if self.round is None and time.monotonic() < self.rest_until:
            return
        try:
            with self.storage.turn() as now:
                if now is not None:
                    self.go_on(now)
        except OSError as error:
            log.warning("not tidied up", reason=type(error).__name__)

    def go_on(self, now: float) -> None:
        """Goes on with the round, or begins one."""
        self.round = self.round or self.steps(now - 3600 * self.settings.orphans_kept_hours)
        deadline = time.monotonic() + MAX_STEP_SECONDS
        for _ in self.round:
            if time.monotonic() > deadline:
                return
        self.round, self.rest_until = None, time.monotonic() + ROUND_SECONDS

    def steps(self, since: float) -> Iterator[None]:
        """A whole round. ``since``: files that were made before that, and are in no row, never will
        be: a transaction does not take so long."""
        while self.retain():
            yield
        for folder in self.storage.folders():
            self.collect(folder, since)
            yield

    def retain(self) -> bool:
        """A few jobs that ended long ago have fewer checkpoints; whether there may be more."""
        settings = self.settings
        with self.database.session() as session:
            expired = expire_ended(session, self.storage, settings.checkpoints_kept_days)
        with self.database.session() as session:
            thinned = thin_ended(session, self.storage, settings.checkpoints_thinned_days)
        return expired or thinned

    def collect(self, folder: Path, since: float) -> None:
        """Removes the orphans of a folder."""
        found = self.storage.untouched(folder, since)
        for first in range(0, len(found), MAX_NAMES_COUNT):
            for location in self.unnamed(found[first : first + MAX_NAMES_COUNT]):
                self.remove(location)

    def unnamed(self, locations: list[str]) -> list[str]:
        """Those that no row names."""
        table = NAMED_BY.get(PurePosixPath(locations[0]).parts[0])
        if table is None:
            return locations
        with self.database.session(write=False) as session:
            query = select(table.location).where(table.location.in_(locations))
            named = set(session.scalars(query))
        return [location for location in locations if location not in named]

    def remove(self, location: str) -> None:
        """A data set may come again just now, to the place that its content has: under its lock."""
        path = PurePosixPath(location)
        if path.parts[0] == "dataset" and not path.name.startswith("."):
            forget(self.database, self.storage, location)
        else:
            self.storage.delete(location)
        self.orphans += 1
        log.info("orphan removed", location=location)
