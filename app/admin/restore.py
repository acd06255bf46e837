"""Puts a backup back where nothing is: ``python -m app.admin.restore FOLDER``.

The database comes last and at once, so a restore that was interrupted can be run again.
"""

import fcntl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.admin.backup_folder import (
    DATABASE,
    KEY,
    OBJECTS,
    BackupFailed,
    copy,
    files,
    manifest_of,
    must_be_whole,
)

if TYPE_CHECKING:  # a second and more, which a wrong argument does not wait for
    from app.config import Settings


def restore(settings: "Settings", folder: Path, manifest: dict[str, Any]) -> None:
    """Files, key, database; raises ``BackupFailed`` before anything was changed."""
    from app.admin.database_dump import Database

    database = Database(settings.database_url)
    if manifest["database"] != database.kind:
        raise BackupFailed(f"it is a backup of {manifest['database']}")
    must_be_whole(folder, manifest)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / "lock").open("a") as lock:
        hold(lock.fileno(), settings.home)
        if not database.is_empty():
            raise BackupFailed("the database is not empty; nothing is ever overwritten")
        for path in files(folder / OBJECTS):
            copy(path, settings.storage / path.relative_to(folder / OBJECTS))
        if (folder / KEY).exists():
            copy(folder / KEY, settings.home / KEY)
        database.put_back(folder / DATABASE)


def hold(descriptor: int, home: Path) -> None:
    """The lock that `fallline up` holds while it runs."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupFailed(f"a service runs on {home}; stop it first") from error


def main() -> None:
    """Restores, and says what comes next."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m app.admin.restore FOLDER")
    folder = Path(sys.argv[1]).absolute()
    try:
        manifest = manifest_of(folder)
        from app.config import get_settings

        restore(get_settings(), folder, manifest)
    except (BackupFailed, OSError) as error:
        sys.exit(f"nothing was restored: {error}")
    sys.stdout.write("restored; `fallline up` (or `fallline migrate`) goes on from here\n")


if __name__ == "__main__":
    main()
