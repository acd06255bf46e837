"""A copy of everything that a service keeps, made while it runs: ``python -m app.admin.backup
FOLDER``.

The database is copied as of one moment, then every file that this copy names. Files never change,
so the two agree; where one was removed in between, both are asked again.
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.admin.backup_folder import DATABASE, KEY, OBJECTS, BackupFailed, copy, files, seal
from app.storage import sync_folder

if TYPE_CHECKING:  # a second and more, which a wrong argument does not wait for
    from app.admin.database_dump import Database
    from app.config import Settings

ATTEMPT_COUNT = 3


class Report(NamedTuple):
    """What was copied; ``missing``: files that the service itself has lost."""

    files: int
    bytes: int
    missing: list[str]


def must_be_new(folder: Path) -> None:
    """Raises ``BackupFailed`` where something is already."""
    if folder.exists():
        raise BackupFailed(f"{folder} is already there; a backup goes into a new folder")


def save(settings: "Settings", folder: Path) -> Report:
    """Copies database, files and key into a new folder: it is whole, or not there."""
    from app.admin.database_dump import Database

    database = Database(settings.database_url)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    try:
        missing = copied(database, settings.storage, partial)
        if (settings.home / KEY).exists():
            copy(settings.home / KEY, partial / KEY)
        hashes = seal(partial, database.kind, missing)
        report = Report(len(hashes), sum(p.stat().st_size for p in files(partial)), missing)
        partial.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # or it is the backup already
        raise
    return report


def copied(database: "Database", storage: Path, folder: Path) -> list[str]:
    """The database and its files; returns those that are missing although nobody removed them."""
    before: set[str] = set()
    for _ in range(ATTEMPT_COUNT):
        named = database.snapshot(folder / DATABASE)
        missing = {
            location
            for location in named
            if not copy_object(storage / location, folder / OBJECTS / location)
        }
        if missing <= before:
            break
        before = missing
    remove_unnamed(folder / OBJECTS, named)
    return sorted(missing)


def copy_object(source: Path, to: Path) -> bool:
    """Copies a file unless it is there already; false: it is gone."""
    if to.exists():
        return True
    try:
        copy(source, to)
    except FileNotFoundError:
        return False
    return True


def remove_unnamed(objects: Path, named: list[str]) -> None:
    """What only an earlier attempt named."""
    wanted = {objects / location for location in named}
    for path in files(objects):
        if path not in wanted:
            path.unlink()


def main() -> None:
    """Copies, and says how much."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m app.admin.backup FOLDER")
    folder = Path(sys.argv[1]).absolute()
    try:
        must_be_new(folder)
        from app.config import get_settings

        report = save(get_settings(), folder)
    except (BackupFailed, OSError) as error:
        sys.exit(f"no backup was made: {error}")
    sys.stdout.write(f"{report.files} files, {report.bytes} bytes: {sys.argv[1]}\n")
    for location in report.missing:
        sys.stderr.write(f"the service itself has lost {location}\n")


if __name__ == "__main__":
    main()
