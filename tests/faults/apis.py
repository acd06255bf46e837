"""The API dies at a bad moment. Whoever asks again finds neither too little nor too much."""

import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx2
from sqlalchemy import select

from app.storage import Storage
from app.tables import Dataset, Job
from tests.app.streams import Frame, Listener, entries, holds, points
from tests.faults.plan import fault
from tests.faults.world import JOB, World
from tests.servers import eventually

SWITCHES = "tests/faults/switches"
PIECES = 20


@fault(
    "F6",
    "the API dies before it rings, and before its COMMIT",
    "the job starts within 15 s; the same Idempotency-Key makes one job",
)
def dies_in_between(world: World, draw: random.Random) -> str:
    unrung = half_posted(world, "dies_before_ringing")
    died = time.monotonic()
    (job_id,) = named(world, unrung)
    world.reaches(job_id, 1)
    took = [time.monotonic() - died]
    world.service.start_api()
    assert posted(world, unrung) == (job_id, True)

    uncommitted = half_posted(world, "dies_before_commit")
    died = time.monotonic()
    assert named(world, uncommitted) == []
    world.service.start_api()
    job_id, _ = posted(world, uncommitted)
    world.reaches(job_id, 1)
    took.append(time.monotonic() - died)

    for name in (unrung, uncommitted):
        (job_id,) = named(world, name)
        assert posted(world, name) == (job_id, True)
    world.in_time(15, *took)
    return f"began {took[0]:.1f} s after the death, and with a new API after {took[1]:.1f} s"


def half_posted(world: World, switch: str) -> str:
    """Asks an API for a job that dies of it; the name of the job, and its Idempotency-Key."""
    world.service.stop(world.api)
    api = world.service.start_api(FALLLINE_SWITCHES=switch, PYTHONPATH=SWITCHES)
    try:
        answer = post(world, switch)
    except httpx2.TransportError:
        assert api.wait(within=5) == 9
        world.service.processes.remove(api)
    else:
        raise AssertionError(f"it lived, and answered {answer.status_code}")
    return switch


def post(world: World, name: str) -> httpx2.Response:
    """Asks for a job; its name is the key."""
    asked = JOB | {"name": name}
    return world.service.http.post("/v1/jobs", json=asked, headers={"Idempotency-Key": name})


def posted(world: World, name: str) -> tuple[str, bool]:
    """The id of the job, and whether there was one before."""
    answer = world.ledger.note(post(world, name))
    assert answer.status_code == 202, answer.text
    job_id = str(answer.json()["id"])
    if job_id not in world.ledger.accepted:
        world.ledger.accepted.append(job_id)
    return job_id, "Idempotency-Replayed" in answer.headers


def named(world: World, name: str) -> list[str]:
    """The jobs of a name."""
    with world.database.session(write=False) as session:
        return list(session.scalars(select(Job.id).where(Job.name == name)))


@fault(
    "F16",
    "the API killed during an upload and a stream, by TERM and -9",
    "the data set is whole or absent; the stream has no gap and no repetition",
)
def killed_while_busy(world: World, draw: random.Random) -> str:
    return "; ".join(
        f"{how.name} at the {moment}: " + busy(world, draw, how, moment)
        for how in (signal.SIGKILL, signal.SIGTERM)
        for moment in ("body", "end")
    )


def busy(world: World, draw: random.Random, how: signal.Signals, moment: str) -> str:
    """One such death; what became of the upload."""
    job_id = world.post()
    upload = Upload(world, f"{how.name}-{moment}", draw)
    listener = Listener(world.service, world.service.url)
    with ThreadPoolExecutor(2) as pool:
        heard = pool.submit(listener.listen, job_id)
        world.reaches(job_id, int(JOB["iterations"] * draw.uniform(0.05, 0.5)))
        eventually(lambda: len(points(listener.found)) > 10, "losses are heard", 30)
        first = pool.submit(upload.send)
        enough = draw.randrange(2, PIECES - 1) if moment == "body" else PIECES
        eventually(lambda: upload.sent >= enough, "so much of the file is sent", 30)
        if moment == "end":
            time.sleep(draw.uniform(0, 0.3))
        end(world, how)
        answered = first.result()
        there = upload.kept()
        assert there or not answered, "a data set that was promised is lost"
        world.service.start_api()
        assert upload.send(), "the second try is not accepted"
        assert upload.kept(), "a data set that was promised is lost"
        world.ends(job_id)
        heard.result(timeout=30)
    told_once(world, job_id, listener.found)
    assert listener.streams > 1
    return "kept" if there else "absent, then kept"


def end(world: World, how: signal.Signals) -> None:
    """The API is told to end, or ended."""
    api = world.api
    began = time.monotonic()
    api.signal(how)
    api.wait(within=30)
    world.service.processes.remove(api)
    assert time.monotonic() - began <= 10, "it took its time"


def told_once(world: World, job_id: str, found: list[Frame]) -> None:
    """What a stream told is all that there is to tell, once."""
    holds(found)
    http = world.service.http
    assert entries(found) == http.get(f"/v1/jobs/{job_id}/events?limit=100").json()["data"]
    names = "loss,validation_loss,validation_accuracy"
    whole = http.get(f"/v1/jobs/{job_id}/metrics", params={"series": names}).json()["series"]
    for name, series in whole.items():
        assert points(found, name) == dict(zip(series["iteration"], series["value"], strict=True))


class Upload:
    """A table that is sent bit by bit, under a key; ``sent``: how many bits of it."""

    def __init__(self, world: World, name: str, draw: random.Random) -> None:
        self.world = world
        self.name = name
        self.sent = 0
        lines = (f"{draw.random()},{draw.random()},{draw.choice('xyz')}\n" for _ in range(40_000))
        self.table = ("a,b,kind\n" + "".join(lines)).encode()

    def send(self) -> bool:
        """Whether it was answered that the data set is there."""
        service = self.world.service
        headers = {"Idempotency-Key": self.name, "Content-Type": "text/csv"}
        asked: dict[str, Any] = {"params": {"target": "kind", "name": self.name}}
        self.sent = 0
        with closing(httpx2.Client(base_url=service.url, timeout=70, trust_env=False)) as client:
            client.headers["Authorization"] = f"Bearer {service.key}"
            try:
                answer = client.post("/v1/datasets", content=self.bits(), headers=headers, **asked)
            except httpx2.TransportError:
                return False
        self.world.ledger.note(answer)
        assert answer.status_code in (201, 503), answer.text
        return answer.status_code == 201

    def bits(self) -> Iterator[bytes]:
        """The table, not all at once."""
        size = -(-len(self.table) // PIECES)
        for n in range(PIECES):
            yield self.table[n * size : (n + 1) * size]
            self.sent = n + 1
            time.sleep(0.02)

    def kept(self) -> bool:
        """Whether the data set is there: once, with all its rows, and a file that is whole."""
        with self.world.database.session(write=False) as session:
            rows = session.scalars(select(Dataset).where(Dataset.name == self.name)).all()
        assert len(rows) <= 1, "it is there twice"
        for row in rows:
            assert row.rows == 40_000
            assert row.source["bytes"] == len(self.table)
            assert Storage(self.world.objects).whole(row.location, row.sha256)
        return bool(rows)
