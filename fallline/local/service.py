"""The whole service on one machine: Redis, the API and a worker as processes of ours.

```python
with Embedded(home, port=0) as service:
    client = Client(service.url, service.key)
```

They start in the order Redis, migration, API, worker and stop in the order worker, API, Redis.
`wait` starts a part again that ends by itself. Start the service from a thread that lives as long
as it does, and wait in that thread (the main one): on Linux the kernel ends the parts when the
thread that started them ends, which is how even a `kill -9` leaves no process behind.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from fallline import environment
from fallline.client import Client
from fallline.errors import ApiError, StartFailed, Unreachable
from fallline.local import redis_server
from fallline.local.home import Lock, choose_port
from fallline.local.processes import Process, last_lines, launch, rotate, tail
from fallline.local.restarts import Restarts
from fallline.local.run_folder import RunFolder

REDIS_SECONDS = 10.0
MIGRATE_SECONDS = 120.0
API_SECONDS = 60.0
# A worker imports PyTorch before it is ready; Celery itself allows a process 120 s.
WORKER_SECONDS = 150.0
POLL_SECONDS = 0.1
WATCH_SECONDS = 0.2
STOP_ORDER = ("worker", "api", "migrate", "redis")


def quiet(_: str) -> None:
    """A report to nobody."""


class LocalService:
    """A Fallline service with its data in `home`; a context manager that starts and stops it.

    `port` 0 takes a free one. `settings` are the FALLLINE_ variables the parts get beside the ones
    that are set here (default: those of our own environment); with FALLLINE_BROKER_URL among them
    no Redis is started. `report` is told each step. Raises `StartFailed`, after everything that was
    started has been stopped.
    """

    def __init__(
        self,
        home: Path,
        *,
        host: str = environment.DEFAULT_HOST,
        port: int = environment.DEFAULT_PORT,
        settings: dict[str, str] | None = None,
        report: Callable[[str], None] = quiet,
    ) -> None:
        self.home = home.expanduser().absolute()
        self.host = host
        self.port = port
        self.parts: dict[str, Process] = {}
        self.key: str | None = None
        self.key_is_new = False
        self._settings = own_settings() if settings is None else settings
        self._report = report
        self._lock: Lock | None = None
        self._run: RunFolder | None = None
        self._commands: dict[str, list[str]] = {}
        self._part_environment: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where the API answers."""
        return environment.address(self.host, self.port)

    def __enter__(self) -> LocalService:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise `StartFailed`, with the end of its log, if a part has died."""
        for part in self.parts.values():
            if not part.alive:
                raise StartFailed(part.obituary())

    def wait(self, say: Callable[[str], None] = quiet) -> NoReturn:
        """Stay, and start a part again that ends; `say` is told so in plain sentences.

        Raises `StartFailed`, with the end of its log, if a part ends too often.
        """
        restarts = Restarts(self.parts, self._start_again, say)
        while True:
            self._keep_socket(restarts)
            restarts.look(time.monotonic())
            time.sleep(WATCH_SECONDS)

    def last_words(self) -> str:
        """The end of the log of the API and of the worker."""
        logs = [self._log(name) for name in ("api", "worker")]
        return "\n".join(f"The end of {log.name}:\n{tail(log)}" for log in logs)

    def stop(self) -> None:
        """Stop the worker, the API and Redis in this order; a KeyboardInterrupt kills them."""
        parts = [self.parts[name] for name in STOP_ORDER if name in self.parts]
        try:
            for part in parts:
                self._report(f"Stopping {part.name}")
                part.stop()
        finally:
            for part in parts:
                part.kill()
            self.parts.clear()
            self._give_back()

    def _start(self) -> None:
        if not self.home.exists():
            choose_port(self.host, self.port)  # no folder is made for a port that is taken
        self._lock = Lock(self.home)
        self.port = choose_port(self.host, self.port)
        self._lock.sign(self.url)
        self._run = RunFolder(self.home)
        self._part_environment = self._environment(self._run)
        if "FALLLINE_BROKER_URL" not in self._part_environment:
            url = redis_server.broker_url(self._run.socket)
            self._part_environment["FALLLINE_BROKER_URL"] = url
            self._start_redis(self._run.socket)
        self._migrate()
        self._start_api()
        self._start_worker()

    def _start_redis(self, path: Path) -> None:
        self._report("Starting Redis")
        self._start_part("redis", redis_server.arguments(redis_server.program(), path, self.home))
        self._until(lambda: redis_server.answers(path), REDIS_SECONDS, "Redis")

    def _migrate(self) -> None:
        self._report("Preparing the database")
        key_before = environment.key_in(self.home)
        part = self._start_part("migrate", module("app.admin.migrate"))
        try:
            part.process.wait(MIGRATE_SECONDS)
        finally:
            part.kill()
            del self.parts["migrate"]
        if part.process.returncode != 0:
            raise StartFailed(part.obituary())
        self.key = environment.key_in(self.home)
        self.key_is_new = self.key != key_before

    def _start_api(self) -> None:
        self._report("Starting the API")
        self._start_part("api", module("app"))
        self._until(lambda: self._answers(Client.alive), API_SECONDS, "The API")

    def _start_worker(self) -> None:
        self._report("Starting the worker, which imports PyTorch")
        self._start_part("worker", module("worker"))
        self._until(lambda: self._answers(Client.ready), WORKER_SECONDS, "The worker")

    def _start_part(self, name: str, command: list[str]) -> Process:
        self._commands[name] = command
        rotate(self._log(name))
        return self._launch(name)

    def _start_again(self, name: str) -> None:
        assert self._run is not None
        if name == "redis":
            self._run.clear_socket()
        self._log(name).parent.mkdir(mode=0o700, exist_ok=True)
        self._launch(name)

    def _launch(self, name: str) -> Process:
        assert self._lock is not None
        return launch(
            name,
            self._commands[name],
            self.parts,
            log=self._log(name),
            environment=self._part_environment,
            keep_open=[self._lock.descriptor],
        )

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    def _keep_socket(self, restarts: Restarts) -> None:
        """End a Redis that nobody can reach any more, for its socket was deleted."""
        assert self._run is not None
        with suppress(OSError):  # it is tried again at the next look
            self._run.restore()
        redis, now = self.parts.get("redis"), time.monotonic()
        if redis is None or now - redis.started_at < REDIS_SECONDS:
            return
        if not self._run.socket.is_socket():
            restarts.end(redis, f"has no socket at {self._run.socket} any more", now)

    def _until(self, is_true: Callable[[], bool], seconds: float, who: str) -> None:
        last = time.monotonic() + seconds
        while not is_true():
            self.check()
            if time.monotonic() > last:
                newest = list(self.parts.values())[-1]
                raise StartFailed(
                    f"{who} was not ready within {seconds:g} s. {last_lines(newest.log)}"
                )
            time.sleep(POLL_SECONDS)

    def _answers(self, asked: Callable[[Client], bool]) -> bool:
        with Client(self.url, self.key, retries=0) as client:
            try:
                return asked(client)
            except (Unreachable, ApiError):
                return False

    def _environment(self, run: RunFolder) -> dict[str, str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("FALLLINE_")}
        own = {
            "FALLLINE_HOME": str(self.home),
            "FALLLINE_HOST": self.host,
            "FALLLINE_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            # No file outside the home: torch and Python put some into the system's folder.
            "TMPDIR": str(run.path),
            "TORCHINDUCTOR_CACHE_DIR": str(self.home / "cache" / "inductor"),
        }
        return {**outside, **self._settings, **own}

    def _give_back(self) -> None:
        if self._run is not None:
            self._run.remove()
            self._run = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def own_settings() -> dict[str, str]:
    """The FALLLINE_ variables of our own environment; a client's key is none of the service's."""
    ours = {k: v for k, v in os.environ.items() if k.startswith("FALLLINE_")}
    ours.pop("FALLLINE_API_KEY", None)
    return ours


def module(name: str) -> list[str]:
    """The command that runs a module of the service.

    -P keeps the current folder off the path: a folder `app` in it is somebody else's.
    """
    return [sys.executable, "-P", "-m", name]
