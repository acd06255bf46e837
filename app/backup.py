"""A copy of everything that a service keeps, made while it runs: ``python -m app.backup FOLDER``.

The database is copied as of one moment, then every file that this copy names. Files never change,
so the two agree; where one was removed in between, both are asked again.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.config import Settings, get_settings
from app.storage import sync_folder
from app.tables import Job

ATTEMPTS = 3
DATABASE, OBJECTS, KEY, MANIFEST = "database", "objects", "key", "manifest.json"
"""What is in the folder: a SQLite file or PostgreSQL's custom format, files, the first key."""


class BackupFailed(Exception):
    """A sentence for whoever asked for it."""


class Report(NamedTuple):
    """What was copied; ``missing``: files that the service itself has lost."""

    files: int
    bytes: int
    missing: list[str]


def save(settings: Settings, folder: Path) -> Report:
    """Copies database, files and key into a new folder: it is whole, or not there."""
    if folder.exists():
        raise BackupFailed(f"{folder} is already there; a backup goes into a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    try:
        missing = copied(settings, partial)
        if (settings.home / KEY).exists():
            copy(settings.home / KEY, partial / KEY)
        hashes = {path.relative_to(partial).as_posix(): sha256(path) for path in files(partial)}
        write_manifest(partial, settings, hashes, missing)
        report = Report(len(hashes), sum(p.stat().st_size for p in files(partial)), missing)
        partial.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return report


def copied(settings: Settings, folder: Path) -> list[str]:
    """The database and its files; returns those that are missing although nobody removed them."""
    before: set[str] = set()
    for _ in range(ATTEMPTS):
        named = snapshot(make_url(settings.database_url), folder / DATABASE)
        missing = {
            location
            for location in named
            if not copy_object(settings.storage / location, folder / OBJECTS / location)
        }
        if missing <= before:
            break
        before = missing
    remove_unnamed(folder / OBJECTS, named)
    return sorted(missing)


def snapshot(url: URL, to: Path) -> list[str]:
    """Copies the database as of one moment; returns the locations of files that it names then.

    Without the workers: restored, they would be taken for processes that are there.
    """
    to.unlink(missing_ok=True)
    if url.get_backend_name() == "sqlite":
        assert url.database
        with closing(sqlite3.connect(url.database, timeout=10)) as database:
            database.execute("VACUUM INTO ?", (str(to),))
        with closing(sqlite3.connect(to)) as database, database:
            database.execute("DELETE FROM workers")
        sync(to)
        # Not our own engine, which would put a write-ahead log beside it.
        with opened(create_engine(f"sqlite:///{to}")) as connection:
            return locations(connection)
    once = {"isolation_level": "REPEATABLE READ"}
    with opened(create_engine(url, execution_options=once)) as connection:
        moment = connection.scalar(text("SELECT pg_export_snapshot()"))
        options = ("--format=custom", "--exclude-table-data=workers", f"--file={to}")
        run_postgresql("pg_dump", url, f"--snapshot={moment}", *options)
        return locations(connection)


@contextmanager
def opened(engine: Engine) -> Iterator[Connection]:
    """The one connection that is needed."""
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def locations(connection: Connection) -> list[str]:
    """Every file that a row names, whatever table it is in."""
    return [
        location
        for table in Job.metadata.sorted_tables
        if "location" in table.columns
        for location in connection.scalars(select(table.c.location))
    ]


def run_postgresql(program: str, url: URL, *options: str) -> None:
    """One of PostgreSQL's own programs. A password is given where no list of processes shows it."""
    found = shutil.which(program)
    if found is None:
        raise BackupFailed(f"{program} is not on the PATH; it comes with PostgreSQL's client")
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    command = [found, f"--dbname={plain}", "--no-owner", "--no-privileges", *options]
    done = subprocess.run(
        command, env=os.environ | secret, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupFailed(f"{program}: {done.stderr.strip()}")


def copy_object(source: Path, to: Path) -> bool:
    """Copies a file unless it is there already; false: it is gone."""
    if to.exists():
        return True
    try:
        copy(source, to)
    except FileNotFoundError:
        return False
    return True


def copy(source: Path, to: Path) -> None:
    """Copies a file with its mode, durably."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as old, to.open("wb") as new:
        os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode)
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())


def sync(path: Path) -> None:
    """Waits until a file has reached the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def remove_unnamed(objects: Path, named: list[str]) -> None:
    """What only an earlier attempt named."""
    wanted = {objects / location for location in named}
    for path in files(objects):
        if path not in wanted:
            path.unlink()


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def sha256(path: Path) -> str:
    """A file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    folder: Path, settings: Settings, hashes: dict[str, str], missing: list[str]
) -> None:
    """Says what is there, so that a restore can tell a damaged backup from a good one."""
    manifest: dict[str, Any] = {
        "format": 1,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": make_url(settings.database_url).get_backend_name(),
        "files": hashes,
        "missing": missing,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def main() -> None:
    """Copies, and says how much."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m app.backup FOLDER")
    try:
        report = save(get_settings(), Path(sys.argv[1]).absolute())
    except (BackupFailed, SQLAlchemyError, sqlite3.Error, OSError) as error:
        sys.exit(f"no backup was made: {str(error).splitlines()[0]}")
    sys.stdout.write(f"{report.files} files, {report.bytes} bytes: {sys.argv[1]}\n")
    for location in report.missing:
        sys.stderr.write(f"the service itself has lost {location}\n")


if __name__ == "__main__":
    main()
