"""A thousand clients that poll and two hundred streams on one API process while two jobs train.

    python -m benchmarks.watchers [sqlite|postgresql] [apart]

Each client keeps a connection, asks for one of the jobs once a second, and is timed from its
request to the last byte of the answer. A stream is behind by the age of the oldest loss that is in
the database and was not told yet. Windows with and without watchers take turns, and training is
measured in both. The clients are elsewhere in life and here beside all of it: what they take of
the cores is printed, and what training got of what they left. Two jobs fill two cores, so on two
every request is paid for by training; ``apart`` keeps the workers on one core and all else on the
others, which shows whether anything but the cores is fought for.
"""

import asyncio
import os
import resource
import statistics
import sys
import time
from bisect import bisect_left
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import uvloop
from sqlalchemy import select

from app.database.session import Database
from app.tables import Job
from tests.databases import KINDS
from tests.service import Service, running
from tests.specifications import DIGITS_MLP

POLLERS, STREAMS, JOBS = 1000, 200, 2
ROUNDS, WINDOW, SETTLE = 4, 8.0, 3.0
GLANCE = 0.05
ENTRIES = 2
"""Of the log, that come before the losses: queued and running."""


class Course:
    """When the database had how many losses of a job: what the streams are held against."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []

    def saw(self, count: int) -> None:
        """Notes a new count."""
        if not self.counts or count > self.counts[-1]:
            self.times.append(time.perf_counter())
            self.counts.append(count)

    def since(self, told: int) -> float | None:
        """When there first was more than what was told; ``None`` when there is not."""
        place = bisect_left(self.counts, told + 1)
        return self.times[place] if place < len(self.times) else None


class Poller(asyncio.Protocol):
    """A client that asks for a job once a second, on a connection that it keeps."""

    def __init__(self, crowd: "Crowd", request: bytes) -> None:
        self.crowd = crowd
        self.request = request
        self.began = 0.0
        self.received = b""
        self.whole = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """One poll."""
        if self.transport.is_closing():
            return
        self.received, self.whole = b"", 0
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """A part of the answer; after the last one it is noted."""
        self.received += data
        if not self.whole:
            head, end, _ = self.received.partition(b"\r\n\r\n")
            if not end:
                return
            size = head.lower().split(b"content-length: ")[1].split(b"\r")[0]
            self.whole = len(head) + 4 + int(size)
        if len(self.received) == self.whole:
            seconds = time.perf_counter() - self.began
            self.crowd.answered(seconds, ok=self.received.startswith(b"HTTP/1.1 200"))
            asyncio.get_running_loop().call_later(max(0.0, 1.0 - seconds), self.ask)


class Listener(asyncio.Protocol):
    """A stream of a job, from what there is now on."""

    def __init__(self, crowd: "Crowd", course: Course, request: bytes, known: int) -> None:
        self.crowd = crowd
        self.course = course
        self.request = request
        self.told = known

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins."""
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """A part of a frame; its last line says how much was told with it."""
        if data.endswith(b"\n\n\r\n"):  # of the chunk
            _, found, number = data[-40:].rpartition(b"id: ")
            if found:
                self.crowd.behind(self)
                self.told = int(number) - ENTRIES


class Crowd:
    """The watchers of one window, and what they saw."""

    def __init__(self, service: Service, courses: dict[str, Course]) -> None:
        where = urlsplit(service.url)
        self.address = (str(where.hostname), int(where.port or 0))
        self.key = service.key
        self.courses = courses
        self.measuring = False
        self.polls: list[float] = []
        self.lags: list[float] = []
        self.broken = 0

    def answered(self, seconds: float, *, ok: bool) -> None:
        """Notes a poll."""
        if self.measuring:
            self.polls.append(seconds)
            self.broken += not ok

    def behind(self, listener: Listener) -> None:
        """Notes how far a stream is behind at this moment."""
        since = listener.course.since(listener.told)
        if self.measuring and since is not None:
            self.lags.append(time.perf_counter() - since)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[list[Listener]]:
        """All of them, connected one after the other."""
        loop, ids = asyncio.get_running_loop(), list(self.courses)
        transports, listeners = [], []
        for n in range(POLLERS + STREAMS):
            job_id = ids[n % JOBS]
            kind = self.poller if n < POLLERS else self.listener
            transport, watcher = await loop.create_connection(partial(kind, job_id), *self.address)
            transports.append(transport)
            if isinstance(watcher, Listener):
                listeners.append(watcher)
            await asyncio.sleep(SETTLE / (POLLERS + STREAMS))
        await asyncio.sleep(SETTLE)
        yield listeners
        for transport in transports:
            transport.abort()

    def poller(self, job_id: str) -> Poller:
        """One that polls."""
        return Poller(self, self.request(f"/v1/jobs/{job_id}", "application/json"))

    def listener(self, job_id: str) -> Listener:
        """One that listens."""
        course = self.courses[job_id]
        known = course.counts[-1]
        path = f"/v1/jobs/{job_id}/events?last_event_id={known + ENTRIES}"
        return Listener(self, course, self.request(path, "text/event-stream"), known)

    def request(self, path: str, accept: str) -> bytes:
        """A request as it goes over the wire."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.key}",
            f"Accept: {accept}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def main() -> None:
    """Measures and prints."""
    kind = next((word for word in sys.argv[1:] if word in KINDS), "sqlite")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # inherited by the service
    with (
        KINDS[kind]() as databases,
        databases.empty() as url,
        running(url, workers=1, worker_processes=JOBS) as service,
    ):
        ids = [started(service) for _ in range(JOBS)]
        database = Database(url)
        uvloop.run(measured(service, database, ids))
        database.dispose()
        for job_id in ids:
            service.http.post(f"/v1/jobs/{job_id}/cancel")


def keep_apart(workers: list[psutil.Process], others: list[psutil.Process]) -> None:
    """The workers on the first core, all else on the others."""
    first, *rest = sorted(os.sched_getaffinity(0))
    for process in workers:
        process.cpu_affinity([first])
    for process in others:
        process.cpu_affinity(rest)


def started(service: Service) -> str:
    """A job that trains for longer than is measured."""
    answer = service.http.post("/v1/jobs", json=DIGITS_MLP | {"iterations": 50_000_000})
    job_id = str(answer.json()["id"])
    while service.http.get(f"/v1/jobs/{job_id}").json()["progress"]["iteration"] < 1000:
        time.sleep(0.1)
    return job_id


class Window(NamedTuple):
    """What was done and used in one, a second: iterations; CPU seconds of the workers, the API and
    this process."""

    pace: float
    workers: float
    api: float
    clients: float


async def measured(service: Service, database: Database, ids: list[str]) -> None:
    """Windows without and with watchers, in turn."""
    courses = {job_id: Course() for job_id in ids}
    observer = asyncio.create_task(observe(database, courses))
    crowd = Crowd(service, courses)
    api, worker = (psutil.Process(process.pid) for process in service.processes)
    workers = [worker, *worker.children(recursive=True)]
    if "apart" in sys.argv:
        keep_apart(workers, [api, psutil.Process()])
    alone, watched = list[Window](), list[Window]()
    for _ in range(ROUNDS):
        await asyncio.sleep(SETTLE)
        alone.append(await window(courses, workers, [api]))
        async with crowd.watching() as listeners:
            crowd.measuring = True
            watched.append(await window(courses, workers, [api]))
            for listener in listeners:
                crowd.behind(listener)
            crowd.measuring = False
    observer.cancel()
    show(crowd, alone, watched)


async def observe(database: Database, courses: dict[str, Course]) -> None:
    """Looks into the database again and again."""
    query = select(Job.id, Job.iteration).where(Job.id.in_(list(courses)))

    def look() -> list[tuple[str, int]]:
        with database.session(write=False) as session:
            return [(row.id, row.iteration) for row in session.execute(query)]

    while True:
        for job_id, count in await asyncio.to_thread(look):
            courses[job_id].saw(count)
        await asyncio.sleep(GLANCE)


async def window(courses: dict[str, Course], *groups: list[psutil.Process]) -> Window:
    """Measures one."""

    def now() -> tuple[float, ...]:
        done = sum(course.counts[-1] for course in courses.values())
        return time.perf_counter(), done, *map(used, groups), time.process_time()

    before = now()
    await asyncio.sleep(WINDOW)
    seconds, *grown = (new - old for new, old in zip(now(), before, strict=True))
    return Window(*(growth / seconds for growth in grown))


def used(processes: list[psutil.Process]) -> float:
    """CPU seconds so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def show(crowd: Crowd, alone: list[Window], watched: list[Window]) -> None:
    """The numbers, and what they are to be."""
    polls = sorted(crowd.polls)
    p50, p99 = (1000 * polls[int(len(polls) * share)] for share in (0.5, 0.99))
    rate = len(polls) / (ROUNDS * WINDOW)
    before, after = (
        Window(*map(statistics.median, zip(*w, strict=True))) for w in (alone, watched)
    )
    ratio, clients = after.pace / before.pace, after.clients - before.clients
    cores = os.cpu_count() or 1
    print(f"{POLLERS} clients, {STREAMS} streams, {JOBS} jobs; {rate:.0f} polls/s answered")
    print(f"a poll            p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   (goal: p99 < 200 ms)")
    print(f"answers not 200       {crowd.broken:7d}")
    print(f"a stream behind   max {max(crowd.lags):7.2f} s                      (goal: < 2 s)")
    print(f"iterations/s    alone {before.pace:7.0f}   watched {after.pace:7.0f}")
    print(f"CPU seconds a second, on {cores} cores: API {after.api:.2f}, clients {clients:.2f},")
    print(f"                      workers alone {before.workers:.2f}, watched {after.workers:.2f}")
    print(f"training, watched over alone: {ratio:.3f}          (goal: > 0.9)")
    print(f"the same of what the clients left: {ratio / (1 - clients / cores):.3f}")


if __name__ == "__main__":
    main()
