"""`fallline up` from a work tree, and the requests that a client sends to it.

Nothing of the tree is imported: it is known by its command line and by HTTP alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import psutil

from tests.servers import Postgres, eventually

Document = dict[str, Any]

START_SECONDS = 300.0
STOP_SECONDS = 60.0
HOLD_SECONDS = 2.0
"""How long a request for a change is held; one just before it is not seen for so long."""
REQUEST_SECONDS = 90.0
BUSY_SECONDS = 0.3
TRAINING_PROCESSES = 2
"""Of every service, whatever the machine has: with more of them, groups are smaller."""
FROM_WHERE = """
from importlib.util import find_spec
for name in ("fallline", "app", "worker", "training"):
    print(find_spec(name).origin)
"""
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


class Broken(Exception):
    """A service did not do what every tree must do; the message says what."""


class Refused(Broken):
    """A request was refused; `conflict`: because of the state that something is in."""

    def __init__(self, request: str, answer: httpx2.Response) -> None:
        super().__init__(f"{request} was answered {answer.status_code}: {answer.text[:2000]}")
        self.conflict = answer.status_code == httpx2.codes.CONFLICT


class Service:
    """The service of one tree, in a home of its own; a context manager that starts and stops it."""

    def __init__(self, tree: Path, database_url: str | None = None) -> None:
        self.tree = tree.resolve()
        # Short: a socket's path holds about a hundred characters.
        self.home = Path(tempfile.mkdtemp(prefix="fl-bits-"))
        self.output = self.home / "up.log"
        self.environment = environment(self.tree, self.home / "data", database_url)
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx2.Client(timeout=REQUEST_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self._check_imports()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the service, by force if need be, and remove its home."""
        self.http.close()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()  # on Linux its parts end with it
                self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    # -- requests

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request; raises `Refused` for an answer that is not 2xx."""
        answer = self.http.request(method, path, **options)
        if not answer.is_success:
            raise Refused(f"{method} {path}", answer)
        return answer

    def get(self, path: str, **parameters: Any) -> Document:
        """The JSON document at a path."""
        found: Document = self.ask("GET", path, params=parameters).json()
        return found

    def post(self, path: str, body: Any = None) -> Document:
        """The answer to a POST, as JSON."""
        found: Document = self.ask("POST", path, json=body).json()
        return found

    def job(self, job_id: str, **parameters: Any) -> Document:
        """A job's document."""
        return self.get(f"/v1/jobs/{job_id}", **parameters)

    def upload(self, table: str, **parameters: str) -> str:
        """Post a CSV as a data set; returns its id."""
        headers = {"Content-Type": "text/csv"}
        content = table.encode()
        answer = self.ask(
            "POST", "/v1/datasets", params=parameters, content=content, headers=headers
        )
        return str(answer.json()["id"])

    def create(self, specification: Document) -> str:
        """Post a job; returns its id."""
        return str(self.post("/v1/jobs", specification)["id"])

    def create_batch(self, specifications: list[Document]) -> list[str]:
        """Post jobs as one batch; returns their ids."""
        answer = self.post("/v1/jobs/batch", {"jobs": specifications})
        return [str(job["id"]) for job in answer["data"]]

    def fork(self, job_id: str, iteration: int, changes: Document) -> str:
        """Fork a job; returns the id of the fork."""
        return str(self.act(job_id, "fork", {"iteration": iteration, "changes": changes})["id"])

    def retry(self, job_id: str) -> str:
        """Retry a job; returns the id of the new one."""
        return str(self.act(job_id, "retry")["id"])

    def act(self, job_id: str, verb: str, body: Document | None = None) -> Document:
        """Cancel, pause, resume, retry or fork a job; the job, or the new one, as it is then."""
        return self.post(f"/v1/jobs/{job_id}/{verb}", body)

    def change(self, job_id: str, **changes: float) -> int | None:
        """Change the course of a job: the iteration it applies from, or None when it has ended."""
        try:
            job: Document = self.ask("PATCH", f"/v1/jobs/{job_id}", json=changes).json()
        except Refused as refused:
            if refused.conflict:
                return None
            raise
        return int(job["interventions"][-1]["iteration"])

    def paused_at(self, job_id: str) -> int | None:
        """Pause a job: the iteration it rests at, or None when it has ended."""
        try:
            self.act(job_id, "pause")
        except Refused as refused:
            if not refused.conflict:
                raise
        job = self.until(job_id, "paused")
        return int(job["progress"]["iteration"]) if job["state"] == "paused" else None

    def ended(self, job_id: str) -> Document:
        """The job, once it has ended in whatever way."""
        return self.until(job_id)

    def until(self, job_id: str, *states: str) -> Document:
        """The job, once it is in one of these states, or has ended."""
        job = self.job(job_id)
        while job["state"] not in {*states, *TERMINAL}:
            self.alive()
            job = self.job(job_id, wait=HOLD_SECONDS)
        return job

    def passes(self, job_id: str, iteration: int) -> Document:
        """The job, once the loss of an iteration is recorded, or it has ended."""
        job = self.job(job_id)
        while job["progress"]["iteration"] <= iteration and job["state"] not in TERMINAL:
            self.alive()
            job = self.job(job_id, wait=HOLD_SECONDS, after=iteration)
        return job

    def alive(self) -> None:
        """Raise `Broken` when the service has ended by itself."""
        if self.process is None or self.process.poll() is not None:
            raise Broken(f"fallline up of {self.tree} has ended:\n{self.output.read_text()}")

    # -- processes

    def kill_busiest(self) -> None:
        """`kill -9` the process without children that computes most right now.

        While a single job trains, that is the process that trains it.
        """
        assert self.process is not None
        tree = psutil.Process(self.process.pid).children(recursive=True)
        leaves = [process for process in tree if leaf(process)]
        before = {process: seconds(process) for process in leaves}
        time.sleep(BUSY_SECONDS)  # it is a measurement, not a wait for something
        busiest = max(before, key=lambda process: seconds(process) - before[process])
        busiest.kill()

    def _check_imports(self) -> None:
        """Raise `Broken` unless the tree's own packages are the ones that are imported there."""
        command = [sys.executable, "-P", "-c", FROM_WHERE]
        done = subprocess.run(
            command,
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        places = [Path(line) for line in done.stdout.splitlines()]
        if done.returncode or not all(place.is_relative_to(self.tree) for place in places):
            raise Broken(f"{self.tree} is not what is imported:\n{done.stdout}{done.stderr}")

    def _start(self) -> None:
        with self.output.open("w") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fallline", "up", "--port", "0"],
                cwd=self.tree,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches it through us
            )
        url = eventually(self._url, f"{self.tree} is up", START_SECONDS, every=0.1)
        key = (self.home / "data" / "key").read_text("ascii").strip()
        self.http.base_url = httpx2.URL(url or "")
        self.http.headers["Authorization"] = f"Bearer {key}"

    def _url(self) -> str | None:
        """The address, once it is printed: then every part is up and warm."""
        self.alive()
        found = re.search(r"URL +(http://\S+)", self.output.read_text())
        return found and found[1]


def environment(tree: Path, home: Path, database_url: str | None) -> dict[str, str]:
    """What a tree's service is started with: its own code, and none of the caller's settings."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("FALLLINE_")}
    settings = {
        "PYTHONPATH": str(tree),
        "FALLLINE_HOME": str(home),
        "FALLLINE_WORKER_PROCESSES": str(TRAINING_PROCESSES),
    }
    return outside | settings | ({"FALLLINE_DATABASE_URL": database_url} if database_url else {})


@contextmanager
def database(kind: str) -> Iterator[str | None]:
    """The URL of an empty database; None for SQLite, where a service makes its own file."""
    if kind == "sqlite":
        yield None
        return
    server = Postgres()
    try:
        yield server.create("same_bits")
    finally:
        server.close()


def leaf(process: psutil.Process) -> bool:
    """Whether a process has no children."""
    try:
        return not process.children()
    except psutil.NoSuchProcess:
        return False


def seconds(process: psutil.Process) -> float:
    """The processor time that a process has used; 0 when it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
