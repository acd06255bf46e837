"""The whole service on one machine: Redis, the API and a worker as processes of ours.

```python
with Embedded(home, port=0) as service:
    client = Client(service.url, service.key)
```

They start in the order Redis, migration, API, worker and stop in the order worker, API, Redis.
Start it from a thread that lives as long as the service (the main thread): on Linux the kernel ends
the parts when that thread ends, which is how even a `kill -9` leaves no process behind.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fallline import environment
from fallline.client import Client
from fallline.errors import ApiError, StartFailed, Unreachable
from fallline.local import redis_server
from fallline.local.home import Lock, choose_port
from fallline.local.processes import Process, launch, tail
from fallline.local.run_folder import RunFolder

REDIS_SECONDS = 10.0
MIGRATE_SECONDS = 120.0
API_SECONDS = 60.0
# A worker imports PyTorch before it is ready; Celery itself allows a process 120 s.
WORKER_SECONDS = 150.0
POLL_SECONDS = 0.1


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
        self.parts: list[Process] = []
        self.key: str | None = None
        self.key_is_new = False
        self._settings = own_settings() if settings is None else settings
        self._report = report
        self._lock: Lock | None = None
        self._run: RunFolder | None = None

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
        for part in self.parts:
            if not part.alive:
                raise StartFailed(part.obituary())

    def wait(self) -> None:
        """Stay until a part dies, which raises `StartFailed`."""
        while True:
            self.check()
            time.sleep(0.2)

    def last_words(self) -> str:
        """The end of the log of the API and of the worker."""
        logs = [self.home / "logs" / f"{name}.log" for name in ("api", "worker")]
        return "\n".join(f"The end of {log.name}:\n{tail(log)}" for log in logs)

    def stop(self) -> None:
        """Stop the worker, the API and Redis in this order; a KeyboardInterrupt kills them."""
        try:
            for part in reversed(self.parts):
                self._report(f"Stopping {part.name}")
                part.stop()
        finally:
            for part in reversed(self.parts):
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
        settings = self._environment(self._run)
        if "FALLLINE_BROKER_URL" not in settings:
            settings["FALLLINE_BROKER_URL"] = redis_server.broker_url(self._run.socket)
            self._start_redis(self._run.socket, settings)
        self._migrate(settings)
        self._start_api(settings)
        self._start_worker(settings)

    def _start_redis(self, path: Path, settings: dict[str, str]) -> None:
        self._report("Starting Redis")
        command = redis_server.arguments(redis_server.program(), path, self.home)
        self._launch("redis", command, settings)
        self._until(lambda: redis_server.answers(path), REDIS_SECONDS, "Redis")

    def _migrate(self, settings: dict[str, str]) -> None:
        self._report("Preparing the database")
        key_before = environment.key_in(self.home)
        part = self._launch("migrate", module("app.admin.migrate"), settings)
        self.parts.remove(part)
        try:
            part.process.wait(MIGRATE_SECONDS)
        finally:
            part.kill()
        if part.process.returncode != 0:
            raise StartFailed(part.obituary())
        self.key = environment.key_in(self.home)
        self.key_is_new = self.key != key_before

    def _start_api(self, settings: dict[str, str]) -> None:
        self._report("Starting the API")
        self._launch("api", module("app"), settings)
        self._until(lambda: self._answers(Client.alive), API_SECONDS, "The API")

    def _start_worker(self, settings: dict[str, str]) -> None:
        self._report("Starting the worker, which imports PyTorch")
        self._launch("worker", module("worker"), settings)
        self._until(lambda: self._answers(Client.ready), WORKER_SECONDS, "The worker")

    def _launch(self, name: str, command: list[str], settings: dict[str, str]) -> Process:
        assert self._lock is not None
        log = self.home / "logs" / f"{name}.log"
        keep_open = [self._lock.descriptor]
        return launch(name, command, self.parts, log=log, environment=settings, keep_open=keep_open)

    def _until(self, is_true: Callable[[], bool], seconds: float, who: str) -> None:
        last = time.monotonic() + seconds
        while not is_true():
            self.check()
            if time.monotonic() > last:
                log = self.parts[-1].log
                raise StartFailed(
                    f"{who} was not ready within {seconds:g} s. The end of {log}:\n{tail(log)}"
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
