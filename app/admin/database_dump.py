"""A database as one file, as of one moment, and back: by SQLite, or by PostgreSQL's programs."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from app.admin.backup_folder import BackupFailed, copy
from app.database.engine import make_engine
from app.storage import sync_folder
from app.tables import Job


class Database:
    """The database at a URL. Every method may raise ``BackupFailed``."""

    def __init__(self, url: str) -> None:
        self.url: URL = make_url(url)
        self.kind = self.url.get_backend_name()

    @property
    def file(self) -> Path | None:
        """Where it is, if it is SQLite's."""
        return Path(str(self.url.database)) if self.kind == "sqlite" else None

    def snapshot(self, to: Path) -> list[str]:
        """Copies it as of one moment; returns the locations of files that it names then.

        Without the workers: restored, they would be taken for processes that are there.
        """
        to.unlink(missing_ok=True)
        with told():
            if self.file is not None:
                return snapshot_of_sqlite(self.file, to)
            once = {"isolation_level": "REPEATABLE READ"}
            with opened(create_engine(self.url, execution_options=once)) as connection:
                moment = connection.scalar(text("SELECT pg_export_snapshot()"))
                options = ("--format=custom", "--exclude-table-data=workers", f"--file={to}")
                run_postgresql("pg_dump", self.url, f"--snapshot={moment}", *options)
                return locations(connection)

    def is_empty(self) -> bool:
        """Whether there is no table."""
        if self.file is not None:
            return not self.file.exists()
        with told(), opened(make_engine(self.url.render_as_string(hide_password=False))) as there:
            return not inspect(there).get_table_names()

    def put_back(self, source: Path) -> None:
        """A snapshot, whole or not at all."""
        if self.file is None:
            options = ("--exit-on-error", "--single-transaction", str(source))
            run_postgresql("pg_restore", self.url, *options)
            return
        for rest in ("-wal", "-shm"):  # of one that is gone: they would be read as the new one's
            self.file.with_name(self.file.name + rest).unlink(missing_ok=True)
        coming = self.file.with_name(f".{self.file.name}.restored")
        copy(source, coming)
        coming.rename(self.file)
        sync_folder(self.file.parent)


def snapshot_of_sqlite(file: Path, to: Path) -> list[str]:
    """The same, of a file."""
    # Where there is none, none is made: it would be in the way of a restore.
    there = f"{file.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(there, timeout=10, uri=True)) as database:
        database.execute("VACUUM INTO ?", (str(to),))
    with closing(sqlite3.connect(to)) as database, database:
        database.execute("DELETE FROM workers")
    with to.open("rb") as written:
        os.fsync(written.fileno())
    # Not our own engine, which would put a write-ahead log beside it.
    with opened(create_engine(f"sqlite:///{to}")) as connection:
        return locations(connection)


@contextmanager
def told() -> Iterator[None]:
    """What a database says is wrong, in one line."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise BackupFailed(str(error).splitlines()[0]) from error


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
