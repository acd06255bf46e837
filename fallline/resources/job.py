"""One job: `client.jobs.at(id)` names it, `client.jobs.get(id)` has what is known of it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fallline.errors import JobFailed, WaitedEnough
from fallline.http.event_cursor import EventCursor
from fallline.http.request import joined
from fallline.http.sync_async import M, dual_method, dual_stream
from fallline.http.transport import Transport
from fallline.jsonable import Json, numbers
from fallline.resources.job_queries import JobQueries
from fallline.types import (
    TERMINAL,
    Event,
    ForkOf,
    Intervention,
    JobError,
    Metrics,
    ModelRef,
    Points,
    Progress,
    QueuePlace,
    event_of,
    intervention_of,
    known,
    made,
    maybe,
    metrics_of,
    read,
    time_of,
)

# How long one request for a change is held; the service allows 60 s, some proxies less.
HOLD_SECONDS = 30.0

# Who follows a job wants to look up from time to time even if nothing happens to it.
FOLLOW_SECONDS = 2.0

# A service that does not hold requests is asked again after these pauses.
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class JobRef(JobQueries[M]):
    """A job by its id: steer it, watch it, question it. Nothing is asked before a method is called.

    Every method may raise `ApiError` and `Unreachable`.
    """

    @dual_method
    async def now(self) -> Job[M]:
        """The job as it is now."""
        return await self._now()

    @dual_method
    async def wait(self, *, timeout: float | None = None) -> Job[M]:
        """The job once it has ended, however it ended; `WaitedEnough` after `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        job, pause = await self._now(), FIRST_PAUSE_SECONDS
        while not job.ended:
            left = HOLD_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                raise WaitedEnough(self.id, job.state, timeout or 0.0)
            began = time.monotonic()
            job = await self._now(hold=min(left, HOLD_SECONDS))
            if not job.ended and time.monotonic() - began < pause:
                await self._http.wire.sleep(min(pause, left))
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
        return job

    @dual_stream
    def events(self, *, after: int | None = None) -> AsyncGenerator[Event, None]:
        """What happens to the job while it happens: from its start, or past event number `after`.

        The last one is `end`, when the job has ended. A stream that breaks is resumed where it was.
        """
        last = None if after is None else str(after)
        return self._http.follow(EventCursor(f"{self.path}/events", last))

    @dual_stream
    async def follow(
        self, *, series: Sequence[str] = ("loss",), every: float = 0.2
    ) -> AsyncGenerator[tuple[Job[M], dict[str, Points]], None]:
        """Yield the job and the points that are new, each once, until it has ended.

        By polling, at most each `every` seconds. The last pair has the ended job and its last
        points.
        """
        after: dict[str, int | None] = dict.fromkeys(series)
        job = await self._now()
        while True:
            # First the job, then its points: those of a job that has ended are all there.
            new = {name: await self._points(name, after[name]) for name in series}
            after |= {name: p.iterations[-1] for name, p in new.items() if p.iterations}
            yield job, new
            if job.ended:
                return
            await self._http.wire.sleep(every)
            job = await self._now(hold=FOLLOW_SECONDS, after=job.progress.iteration)

    @dual_method
    async def log(self) -> Sequence[Event]:
        """What has happened to the job by now."""
        return [event_of(row) async for row in self._http.rows(f"{self.path}/events")]

    @dual_method
    async def cancel(self) -> Job[M]:
        """Ask the job to stop; what it has recorded stays."""
        return await self._act("cancel")

    @dual_method
    async def pause(self) -> Job[M]:
        """Ask the job to stop for now; it is `pausing` until its worker has stored its state."""
        return await self._act("pause")

    @dual_method
    async def resume(self) -> Job[M]:
        """Let a paused job go on where it stopped."""
        return await self._act("resume")

    @dual_method
    async def retry(self) -> Job[M]:
        """A new job that goes on from the newest checkpoint of this one."""
        return await self._act("retry")

    @dual_method
    async def fork(self, iteration: int, changes: Mapping[str, Any] | None = None) -> Job[M]:
        """A new job that starts from this one's state before update `iteration`."""
        return await self._act("fork", {"iteration": iteration, "changes": changes or {}})

    @dual_method
    async def update(
        self,
        *,
        priority: int | None = None,
        metadata: Mapping[str, str] | None = None,
        lr: float | None = None,
        iterations: int | None = None,
    ) -> Job[M]:
        """Change what can be changed of a job: rate and length even while it runs."""
        wish = {"priority": priority, "metadata": metadata, "lr": lr, "iterations": iterations}
        body = {name: value for name, value in wish.items() if value is not None}
        return job_of(self._http, await self._http.patch(self.path, body))

    @dual_method
    async def delete(self) -> None:
        """Delete the job, which has ended, with all that it recorded."""
        await self._http.delete(self.path)

    @dual_method
    async def metrics(
        self,
        *,
        series: Sequence[str] = ("loss",),
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        points: int | None = None,
        smooth: float | None = None,
    ) -> Metrics:
        """One page of series, of the iterations past `after`; values are floats, NaN among them.

        With `points` the extremes of that many buckets, for a picture; `smooth` (0…1) averages.
        """
        params = {"series": joined(series), "after": after, "before": before, "limit": limit}
        return await self._metrics(**params, points=points, smooth=smooth)

    @dual_method
    async def points(self, name: str = "loss", *, after: int | None = None) -> Points:
        """All points of one series that are recorded by now past iteration `after`."""
        return await self._points(name, after)

    async def _now(self, hold: float | None = None, after: int | None = None) -> Job[M]:
        params = {"wait": hold and round(hold, 3), "after": after}
        return job_of(self._http, await self._http.get(self.path, params, held=hold or 0.0))

    async def _act(self, verb: str, body: Mapping[str, Any] | None = None) -> Job[M]:
        return job_of(self._http, await self._http.act(f"{self.path}/{verb}", body))

    async def _metrics(self, **params: Any) -> Metrics:
        return metrics_of(await self._http.get(f"{self.path}/metrics", params))

    async def _points(self, name: str, after: int | None) -> Points:
        found = Points()
        while True:
            page = await self._metrics(series=name, after=after)
            found.extend(page.series.get(name, Points()))
            if page.next_after is None:
                return found
            after = page.next_after


@dataclass(frozen=True)
class Job(JobRef[M]):
    """A job as it was when the service was asked; `now()` asks again. `raw` is its document."""

    name: str
    state: str
    progress: Progress
    spec: Mapping[str, Any]
    created_at: datetime
    state_reason: str | None = None
    latest: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    queue: QueuePlace | None = None
    result: Mapping[str, Mapping[str, float]] | None = None
    model: ModelRef | None = None
    error: JobError | None = None
    attempts: int = 0
    device: str | None = None
    worker: str | None = None
    execution: Mapping[str, Any] | None = None
    retry_of: str | None = None
    forked_from: ForkOf | None = None
    interventions: Sequence[Intervention] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether it is in a state that never changes."""
        return self.state in TERMINAL

    @property
    def succeeded(self) -> bool:
        """Whether it has left a model."""
        return self.state == "succeeded"

    def check(self) -> Job[M]:
        """The job itself if it has succeeded; raises `JobFailed`, which says why not."""
        if not self.succeeded:
            raise JobFailed(self.id, self.state, self.error.message if self.error else None)
        return self


def job_of(http: Transport, document: Json) -> Job[Any]:
    """A job document with floats for its values; its specification and metadata stay as posted."""
    given = known(Job, document)
    values = {name: numbers(given.get(name)) for name in ("latest", "best", "result")}
    times = {n: time_of(given.get(n)) for n in ("created_at", "started_at", "finished_at")}
    parts = {
        "progress": read(Progress, given.get("progress")),
        "queue": maybe(QueuePlace, given.get("queue")),
        "model": maybe(ModelRef, given.get("model")),
        "error": maybe(JobError, given.get("error")),
        "forked_from": maybe(ForkOf, given.get("forked_from")),
        "interventions": [intervention_of(row) for row in given.get("interventions") or ()],
    }
    return made(Job, given | values | times | parts | {"_http": http})
