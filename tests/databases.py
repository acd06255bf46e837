"""The two databases that Fallline runs on, behind one face, so that every test meets both."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.servers import Postgres

ROOT = Path(__file__).parents[1]


def environment(home: Path, database_url: str, **settings: object) -> dict[str, str]:
    """What a process of Fallline is started with: our settings, none of the developer's."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("FALLLINE_")}
    ours = {"home": home, "database_url": database_url, **settings}
    # One that is killed cannot remove its temporary files; with the data folder they go too.
    theirs["TMPDIR"] = str(home)
    return theirs | {f"FALLLINE_{name.upper()}": str(value) for name, value in ours.items()}


def migrate(env: dict[str, str]) -> None:
    """Run the migration step as a deployment does: a process of its own, before the others."""
    command = [sys.executable, "-m", "app.admin.migrate"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"app.admin.migrate exited with {done.returncode}:\n{done.stderr}"


class Database(ABC):
    """A kind of database: hands out fresh ones and takes them away again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-db-"))
        self._numbers = itertools.count()
        self._template = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database without a table."""
        name = f"empty_{next(self._numbers)}"
        try:
            yield self.create(name)
        finally:
            self.drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The URL of a database at the newest schema, with the tenant and key of a first start.

        Migrated once and copied from then on: a copy takes a tenth of a second.
        """
        if not self._template:
            migrate(environment(self.folder / "home", self.create("template_migrated")))
            self._template = "template_migrated"
        name = f"migrated_{next(self._numbers)}"
        try:
            yield self.copy(self._template, name)
        finally:
            self.drop(name)

    @abstractmethod
    def create(self, name: str) -> str: ...

    @abstractmethod
    def copy(self, template: str, name: str) -> str: ...

    @abstractmethod
    def drop(self, name: str) -> None: ...


class Sqlite(Database):
    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def create(self, name: str) -> str:
        return f"sqlite:///{self._file(name)}"

    def copy(self, template: str, name: str) -> str:
        shutil.copyfile(self._file(template), self._file(name))
        return self.create(name)

    def drop(self, name: str) -> None:
        for file in self.folder.glob(f"{name}.db*"):  # with its -wal and -shm
            file.unlink()


class Postgresql(Database):
    def __init__(self) -> None:
        super().__init__()
        self.server = Postgres()

    def __exit__(self, *error: object) -> None:
        self.server.close()
        super().__exit__(*error)

    def create(self, name: str) -> str:
        return self.server.create(name)

    def copy(self, template: str, name: str) -> str:
        return self.server.create(name, template)

    def drop(self, name: str) -> None:
        self.server.drop(name)


KINDS: dict[str, type[Database]] = {"sqlite": Sqlite, "postgresql": Postgresql}
