"""P9 and P10: predictions as JSON, a row of 64 numbers a request, 32 connections that ask again.

Ours is the service as it is shipped: key, limits, request id, metrics, a line in the log and the
look into the database for a new version included. One setting differs: a tenant may ask more often
than 2 000 times a second. Both sides serve the same trained network (64-128-10) and their answers
are compared. The API has one core and the clients another; the side whose turn it is not is
stopped. LitServe, which is several processes, has both.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx2
import numpy as np

from benchmarks.goals import Bound, Missing, Round, goal, peer
from benchmarks.load import Load, load
from fallline import Client
from fallline.local.service import LocalService, own_settings
from tests.service import free_port
from training.engine.predict import FORMAT
from training.tensors.tensor_file import under, unpack

CONNECTIONS, SECONDS, WARM_UP = 32, 4.0, 2.0
BODIES = 256
"""Different requests, so that nobody answers from memory."""
REQUESTS = 10_000
"""The work of a round is so many."""
CLIENT, SERVER = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
"""A core for each."""
PEERS = Path(__file__).parent / "peers"
SPECIFICATION = {
    "name": "mlp",
    "dataset": "digits",
    "split": {"test": 0.2},
    "model": {
        "layers": [
            {"type": "linear", "out_features": 128},
            "relu",
            {"type": "linear", "out_features": 10},
        ]
    },
    "loss": "cross_entropy",
    "optimizer": {"type": "adam", "lr": 1e-3},
    "batch_size": 64,
    "iterations": 500,
}


class Side(NamedTuple):
    """What clients saw, and the microseconds of CPU that the server's processes took a request."""

    load: Load
    cpu: float


def cpu_seconds(group: int) -> float:
    """Of all processes of a group, so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += (int(fields[2]) == group) * (int(fields[11]) + int(fields[12]))
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A side that answers, and the processes that stand still while it is not its turn."""

    port: int
    requests: Sequence[bytes]
    group: int

    def measured(self) -> Side:
        """Its answers under load."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            self.asked(WARM_UP)
            before = cpu_seconds(self.group)
            seen = self.asked(SECONDS)
            work = cpu_seconds(self.group) - before
        finally:
            os.killpg(self.group, signal.SIGSTOP)
        return Side(seen, 1e6 * work / (seen.rate * SECONDS))

    def asked(self, seconds: float) -> Load:
        """What clients see for a while."""
        return load(self.port, self.requests, connections=CONNECTIONS, seconds=seconds, core=CLIENT)


@goal(
    "P9",
    "predictions as JSON, 64 features, 32 connections",
    against="FastAPI, pydantic and torch, one process each",
    least=2.0,
    p99_ratio=Bound(most=1.0),
)
def against_fastapi() -> Iterator[Round]:
    """The service that one writes by hand (``peers/predict_fastapi.py``)."""
    yield from rounds("predict_fastapi.py", ("fastapi", "uvicorn", "torch"), one_core=True)


@goal(
    "P10",
    "the same",
    against="LitServe with batching",
    least=2.5,
    p99_ratio=Bound(most=1.0),
)
def against_litserve() -> Iterator[Round]:
    """The server that batches (``peers/predict_litserve.py``)."""
    yield from rounds("predict_litserve.py", ("litserve", "torch"), one_core=False)


def rounds(script: str, packages: Sequence[str], *, one_core: bool) -> Iterator[Round]:
    """Both sides in turn, each first as often as the other."""
    python = peer(*packages)
    if len(os.sched_getaffinity(0)) < 2:
        raise Missing("two cores are needed: one for the server, one for the clients")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
        ours = stack.enter_context(service(folder))
        theirs = stack.enter_context(other(python, script, folder, one_core=one_core))
        turn = 0
        while True:
            first, second = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
            seen = {id(side): side.measured() for side in (first, second)}
            yield compared(seen[id(ours)], seen[id(theirs)])
            turn += 1


def compared(ours: Side, theirs: Side) -> Round:
    """A round of two loads, whose answers are the same."""
    pairs = zip(ours.load.answers, theirs.load.answers, strict=True)
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    assert len(both) > BODIES / 2, "too few answers to compare"
    for one, other in both:
        np.testing.assert_allclose(probabilities(one), probabilities(other), rtol=0, atol=1e-5)
    figures = {
        "requests_s": ours.load.rate,
        "their_requests_s": theirs.load.rate,
        "p99_ms": ours.load.p99,
        "their_p99_ms": theirs.load.p99,
        "p99_ratio": ours.load.p99 / theirs.load.p99,
        "cpu_us": ours.cpu,
        "their_cpu_us": theirs.cpu,
    }
    return Round(REQUESTS / ours.load.rate, REQUESTS / theirs.load.rate, figures=figures)


def probabilities(answer: bytes) -> list[list[float]]:
    """Of each row of an answer."""
    return [row["probabilities"] for row in json.loads(answer)["predictions"]]


@contextmanager
def service(folder: Path) -> Iterator[Server]:
    """A whole service that has trained the network, whose weights lie in the folder then."""
    settings = own_settings() | {"FALLLINE_REQUESTS_PER_SECOND": "1000000"}
    with LocalService(folder / "home", port=0, settings=settings) as embedded:
        with Client(embedded.url, embedded.key) as client:
            client.jobs.create(SPECIFICATION).wait().check()
            content = client.models.download("mlp", 1)
            client.models.predict("mlp", [[0.0] * 64])  # the first one imports torch
        tensors, _ = unpack(content, expected=FORMAT)
        weights = {name: t.numpy() for name, t in under("state", tensors).items()}
        np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
        api = embedded.parts["api"].process.pid
        for thread in Path(f"/proc/{api}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVER})
        requests = asking("/v1/models/mlp/predict", embedded.port, embedded.key)
        yield from standing(Server(embedded.port, requests, api))


@contextmanager
def other(python: Path, script: str, folder: Path, *, one_core: bool) -> Iterator[Server]:
    """The other side."""
    port = free_port()
    command = [str(python), str(PEERS / script), str(port), str(folder / "weights.npz")]
    pinned = ["taskset", "--cpu-list", str(SERVER)] if one_core else []
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(
            [*pinned, *command], stdout=log, stderr=log, start_new_session=True
        )
    try:
        requests = asking("/predict", port)
        ready(port, process)
        yield from standing(Server(port, requests, process.pid))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def standing(server: Server) -> Iterator[Server]:
    """The server stands still but when it is its turn, until it is to end."""
    os.killpg(server.group, signal.SIGSTOP)
    try:
        yield server
    finally:
        os.killpg(server.group, signal.SIGCONT)


def ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until the other side answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx2.TransportError):
            answer = httpx2.post(
                f"http://127.0.0.1:{port}/predict", json={"inputs": [[0.0] * 64]}, trust_env=False
            )
            if answer.status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the other side does not answer")


def asking(path: str, port: int, key: str | None = None) -> list[bytes]:
    """The requests, each whole."""
    drawn = np.random.default_rng(0).uniform(0, 16, (BODIES, 64)).round(4)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\n" if key else ""
    bodies = [json.dumps({"inputs": [row]}).encode() for row in drawn.tolist()]
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
