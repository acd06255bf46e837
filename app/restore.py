"""Puts a backup back where nothing is: ``python -m app.restore FOLDER``.

The database comes last and at once, so a restore that was interrupted can be run again.
"""

import fcntl
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import URL, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from app.backup import (
    DATABASE,
    KEY,
    MANIFEST,
    OBJECTS,
    BackupFailed,
    copy,
    files,
    run_postgresql,
    sha256,
)
from app.config import Settings, get_settings
from app.db import make_engine


def restore(settings: Settings, folder: Path) -> None:
    """Files, key, database; raises ``BackupFailed`` before anything was changed."""
    url = make_url(settings.database_url)
    check(folder, url)
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.home / "lock").open("a") as lock:
        hold(lock.fileno(), settings.home)
        if not is_empty(url):
            raise BackupFailed("the database is not empty; nothing is ever overwritten")
        for path in files(folder / OBJECTS):
            copy(path, settings.storage / path.relative_to(folder / OBJECTS))
        if (folder / KEY).exists():
            copy(folder / KEY, settings.home / KEY)
        put_back(folder / DATABASE, url)


def check(folder: Path, url: URL) -> None:
    """The backup is whole, unchanged, and of the kind of database that is there."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BackupFailed(f"{folder} holds no backup") from error
    if manifest["database"] != url.get_backend_name():
        raise BackupFailed(f"it is a backup of {manifest['database']}")
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != expected:
            raise BackupFailed(f"the backup is damaged: {name} is not what was stored")


def hold(descriptor: int, home: Path) -> None:
    """The lock that `fallline up` holds while it runs."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupFailed(f"a service runs on {home}; stop it first") from error


def is_empty(url: URL) -> bool:
    """Whether there is no table."""
    if url.get_backend_name() == "sqlite":
        assert url.database
        return not Path(url.database).exists()
    engine = make_engine(url.render_as_string(hide_password=False))
    try:
        return not inspect(engine).get_table_names()
    finally:
        engine.dispose()


def put_back(source: Path, url: URL) -> None:
    """The database, whole or not at all."""
    if url.get_backend_name() == "sqlite":
        assert url.database
        target = Path(url.database)
        for rest in ("-wal", "-shm"):  # of one that is gone: they would be read as the new one's
            target.with_name(target.name + rest).unlink(missing_ok=True)
        coming = target.with_name(f".{target.name}.restored")
        copy(source, coming)
        coming.rename(target)
        return
    run_postgresql("pg_restore", url, "--exit-on-error", "--single-transaction", str(source))


def main() -> None:
    """Restores, and says what comes next."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m app.restore FOLDER")
    try:
        restore(get_settings(), Path(sys.argv[1]).absolute())
    except (BackupFailed, SQLAlchemyError, sqlite3.Error, OSError) as error:
        sys.exit(f"nothing was restored: {str(error).splitlines()[0]}")
    sys.stdout.write("restored; `fallline up` (or `fallline migrate`) goes on from here\n")


if __name__ == "__main__":
    main()
