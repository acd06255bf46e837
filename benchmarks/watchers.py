"""A thousand clients that poll and two hundred streams on one API process while two jobs train.

    python -m benchmarks.watchers [sqlite|postgresql]

Each client keeps a connection, asks for one of the jobs once a second, and is timed from its
request to the last byte of the answer. A stream is behind by the age of the oldest loss that is in
the database and was not told yet. Windows with and without watchers take turns, and training is
measured in both; whoever measures runs beside all of it, so give it more cores than two.
"""

import asyncio
import random
import resource
import statistics
import sys
import time
from bisect import bisect_left
from contextlib import suppress
from urllib.parse import urlsplit

import uvloop
from sqlalchemy import select

from app.db import Database
from app.tables import Job
from tests.databases import KINDS
from tests.service import Service, running
from tests.specifications import DIGITS_MLP

POLLERS, STREAMS, JOBS = 1000, 200, 2
ROUNDS, WINDOW, SETTLE = 4, 8.0, 3.0
GLANCE = 0.02


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


class Crowd:
    """The watchers of one window, and what they saw."""

    def __init__(self, service: Service, courses: dict[str, Course]) -> None:
        where = urlsplit(service.url)
        self.address = (where.hostname, where.port)
        self.key = service.key
        self.courses = courses
        self.measuring = False
        self.polls: list[float] = []
        self.lags: list[float] = []
        self.told: list[tuple[Course, int]] = [(Course(), 0)] * STREAMS
        self.broken = 0

    async def watch(self) -> None:
        """All of them, until cancelled."""
        ids = list(self.courses)
        polls = [self.poll(ids[n % JOBS]) for n in range(POLLERS)]
        streams = [self.listen(n, ids[n % JOBS]) for n in range(STREAMS)]
        await asyncio.gather(*polls, *streams)

    def request(self, path: str, accept: str) -> bytes:
        """A request as it goes over the wire."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.key}",
            f"Accept: {accept}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, not all of them at the same moment."""
        await asyncio.sleep(random.uniform(0, SETTLE / 2))  # noqa: S311 -- no secret
        return await asyncio.open_connection(*self.address, limit=2**22)

    async def poll(self, job_id: str) -> None:
        """One client: a request a second on a connection that it keeps."""
        reader, writer = await self.connect()
        request = self.request(f"/v1/jobs/{job_id}", "application/json")
        while True:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
            seconds = time.perf_counter() - began
            if self.measuring:
                self.polls.append(seconds)
                self.broken += not head.startswith(b"HTTP/1.1 200")
            await asyncio.sleep(max(0.0, 1.0 - seconds))

    async def listen(self, n: int, job_id: str) -> None:
        """One stream, from what there is now on."""
        reader, writer = await self.connect()
        course = self.courses[job_id]
        # Two entries of the log, queued and running, came before the losses.
        known = course.counts[-1] + 2
        path = f"/v1/jobs/{job_id}/events?last_event_id={known}"
        writer.write(self.request(path, "text/event-stream"))
        self.told[n] = (course, course.counts[-1])
        while line := await reader.readline():
            if line.startswith(b"data: ") and b'"series"' in line[:120]:
                now, since = time.perf_counter(), course.since(self.told[n][1])
                if self.measuring and since is not None:
                    self.lags.append(now - since)
                count = int(line[:120].split(b'"iteration":')[1].split(b",")[0])
                self.told[n] = (course, count)

    def behind(self) -> None:
        """Notes how far each stream is behind at this moment."""
        for course, told in self.told:
            since = course.since(told)
            if since is not None:
                self.lags.append(time.perf_counter() - since)


def main() -> None:
    """Measures and prints."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
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


def started(service: Service) -> str:
    """A job that trains for longer than is measured."""
    answer = service.http.post("/v1/jobs", json=DIGITS_MLP | {"iterations": 50_000_000})
    job_id = str(answer.json()["id"])
    while service.http.get(f"/v1/jobs/{job_id}").json()["progress"]["iteration"] < 1000:
        time.sleep(0.1)
    return job_id


async def measured(service: Service, database: Database, ids: list[str]) -> None:
    """Windows without and with watchers, in turn."""
    courses = {job_id: Course() for job_id in ids}
    observer = asyncio.create_task(observe(database, courses))
    crowd = Crowd(service, courses)
    alone, watched = list[float](), list[float]()
    for _ in range(ROUNDS):
        await asyncio.sleep(SETTLE)
        alone.append(await pace(courses))
        watchers = asyncio.create_task(crowd.watch())
        await asyncio.sleep(SETTLE)
        crowd.measuring = True
        watched.append(await pace(courses))
        crowd.behind()
        crowd.measuring = False
        watchers.cancel()
        with suppress(asyncio.CancelledError):
            await watchers
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


async def pace(courses: dict[str, Course]) -> float:
    """Iterations a second of all jobs together, over one window."""
    began, before = time.perf_counter(), sum(c.counts[-1] for c in courses.values())
    await asyncio.sleep(WINDOW)
    after = sum(course.counts[-1] for course in courses.values())
    return (after - before) / (time.perf_counter() - began)


def show(crowd: Crowd, alone: list[float], watched: list[float]) -> None:
    """The numbers, and what they are to be."""
    polls = sorted(crowd.polls)
    p50, p99 = (1000 * polls[int(len(polls) * share)] for share in (0.5, 0.99))
    rate = len(polls) / (ROUNDS * WINDOW)
    before, after = statistics.median(alone), statistics.median(watched)
    print(f"{POLLERS} clients, {STREAMS} streams, {JOBS} jobs; {rate:.0f} polls/s answered")
    print(f"a poll            p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   (goal: p99 < 200 ms)")
    print(f"answers not 200       {crowd.broken:7d}")
    print(f"a stream behind   max {max(crowd.lags):7.2f} s                      (goal: < 2 s)")
    print(f"iterations/s    alone {before:7.0f}   watched {after:7.0f}")
    print(f"training, watched over alone: {after / before:.3f}          (goal: > 0.9)")


if __name__ == "__main__":
    main()
