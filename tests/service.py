"""A whole Fallline for tests: broker, API and workers as real processes, over HTTP."""

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
from celery import Celery

from app import broker
from app.config import get_settings
from app.hints.publisher import publisher
from tests.databases import ROOT, environment, migrate
from tests.servers import Process, Redis, eventually

# A worker imports torch before it counts as ready, here on two busy cores.
READY_SECONDS = 240.0


class Service:
    """One deployment on a database that the caller owns. Nothing runs until it is told to."""

    def __init__(self, database_url: str, **settings: object) -> None:
        # Short, for the sockets that may be put into it; pytest's tmp_path is not.
        self.home = Path(tempfile.mkdtemp(prefix="fl-home-"))
        self.database_url = database_url
        self.redis = Redis()
        self.broker_url = self.redis.url
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        where = {"host": "127.0.0.1", "port": port, "broker_url": self.broker_url}
        self.env = environment(self.home, database_url, **where, **settings)
        self.processes: list[Process] = []
        # Longer than the longest ?wait=, and a proxy of the developer's has no say on loopback.
        self.http = httpx2.Client(base_url=self.url, timeout=70, trust_env=False)

    def migrate(self) -> None:
        """Make the schema, the tenant ``default`` and the first key, which ``http`` carries on."""
        migrate(self.env)
        self.http.headers["Authorization"] = f"Bearer {self.key}"

    @property
    def key(self) -> str:
        return (self.home / "key").read_text().strip()

    # -- processes

    def start_api(self, module: str = "app", **env: str) -> Process:
        api = self._start(module, **env)
        api.ready(lambda: self._answers("/healthz"))
        return api

    def start_worker(self, **env: str) -> Process:
        """One supervisor and its pools. Ready is asked of the service: see ``wait_ready``."""
        return self._start("worker", **env)

    def wait_ready(self) -> None:
        """Until database, broker and a worker are there."""
        newest = self.processes[-1]
        newest.ready(lambda: self._answers("/readyz"), READY_SECONDS)

    def _start(self, module: str, **env: str) -> Process:
        command = [sys.executable, "-m", module]
        log = self.home / f"{module}-{len(self.processes)}.log"
        process = Process(module, command, log=log, cwd=ROOT, env=self.env | env)
        self.processes.append(process)
        return process

    def _answers(self, path: str) -> bool:
        try:
            return self.http.get(path).status_code == 200
        except httpx2.ConnectError:
            return False

    def stop(self, process: Process) -> int:
        """SIGTERM, and its exit code."""
        self.processes.remove(process)
        return process.stop()

    def kill(self, pid: int) -> None:
        """``kill -9`` one process of this service, and no other."""
        (victim,) = [process for process in self.tree() if process.pid == pid]
        victim.kill()

    def tree(self) -> list[psutil.Process]:
        """Every process that lives because of this service, whatever became of its parents.

        They are told by the data folder in their environment, which children inherit.
        """
        return [p for p in psutil.process_iter() if belongs(p, self.env["FALLLINE_HOME"])]

    # -- the end

    def close(self) -> None:
        """Stop all of it, and hold it to leaving nothing behind."""
        self.http.close()
        with ExitStack() as stack:  # every step is taken, whichever of them fails
            stack.callback(shutil.rmtree, self.home)
            stack.callback(self.redis.close)
            stack.callback(self._no_process_is_left)
            for process in list(self.processes):
                stack.callback(self.stop, process)

    def _no_process_is_left(self) -> None:
        try:
            eventually(lambda: not self.tree(), f"no process of {self.home} is left", within=2)
        except AssertionError as error:
            for process in self.tree():
                error.add_note(f"left behind: {process.pid} {process.cmdline()}")
                process.kill()
            raise


def belongs(process: psutil.Process, home: str) -> bool:
    try:
        return bool(process.environ().get("FALLLINE_HOME") == home)
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return False  # gone, dead, or somebody else's


def bell(service: Service) -> bytes:
    """The message that a bell is, as the service itself sends it."""
    sender = Celery(broker=service.broker_url, set_as_current=False)
    sender.send_task(broker.TRAINING, queue="a-queue-nobody-hears")
    with sender.connection_for_write() as connection:
        message = connection.default_channel.client.rpop("a-queue-nobody-hears")
    assert isinstance(message, bytes)
    return message.replace(b"a-queue-nobody-hears", broker.TRAINING.encode())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ring_at(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, the test's own, rings there."""
    monkeypatch.setenv("FALLLINE_BROKER_URL", broker_url)
    get_settings.cache_clear()
    broker.producer.cache_clear()
    publisher.cache_clear()


@contextmanager
def running(database_url: str, *, workers: int, **settings: object) -> Iterator[Service]:
    """A service with its API and ``workers`` workers up."""
    service = Service(database_url, **settings)
    try:
        service.migrate()
        service.start_api()
        for _ in range(workers):
            service.start_worker()
        if workers:
            service.wait_ready()
        yield service
    finally:
        service.close()
