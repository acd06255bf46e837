"""The story of a job as server-sent events, told to each client from where it stopped listening.

A stream remembers a place in the story and nothing else. What comes next is read once for all
clients that are at the same place, which after their first few frames are all who watch the job.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import NamedTuple

import anyio
import orjson
from fastapi.sse import EventSourceResponse, format_sse_event
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from app.api.asgi_types import Message, Receive, Scope, Send
from app.api.live.job_loader import written
from app.api.live.job_watcher import JobWatcher, Subscription
from app.api.schemas.events import event_document
from app.api.schemas.jobs import job_document
from app.api.schemas.metrics import points_document
from app.errors import NotFound, Unavailable
from app.services.jobs import event_batches, job_repository
from app.services.jobs.event_batches import Cursor, LogFrame, MetricsFrame
from app.services.jobs.queue_position import queue_status
from app.services.jobs.revision import JobRevision
from app.tables import TERMINAL, Job

KEEP_ALIVE_SECONDS = 10.0
"""Seconds of silence after which a stream says that it is still there."""
SLOW_CLIENT_SECONDS = 30.0
"""Seconds that a client may take until it takes more."""
MAX_FRAME_COUNT = 64
"""Frames that are kept for whoever comes to the same place."""

RETRY_SECONDS = 0.5
"""Seconds until the next try when the database was away."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
"""No proxy is to gather what is sent."""

COMMENT = format_sse_event(comment="keep-alive")
BEGIN = format_sse_event(retry=1000)


class Frames(NamedTuple):
    """What to send next, the place where the client then is, and whether more is to be had."""

    content: bytes
    place: Cursor
    whole: bool
    ended: bool


class FrameCache:
    """What comes next at each place of each job: read once for all who are there."""

    def __init__(self, watch: JobWatcher) -> None:
        self.watch = watch
        self.tasks: OrderedDict[tuple[str, Cursor, JobRevision | None], asyncio.Task[Frames]]
        self.tasks = OrderedDict()

    async def frames(self, job_id: str, place: Cursor, seen: JobRevision | None) -> Frames:
        """What comes at a place of what had happened when ``seen`` was seen, or more.

        Raises ``NotFound`` when the job is gone, ``Unavailable`` when the database is away.
        """
        key = (job_id, place, seen)
        if key not in self.tasks or failed(self.tasks[key]):
            self.tasks[key] = asyncio.create_task(self.watch.read(read, job_id, place))
            while len(self.tasks) > MAX_FRAME_COUNT:
                self.tasks.popitem(last=False)
        # Who leaves takes it from nobody else.
        return await asyncio.shield(self.tasks[key])


def failed(task: "asyncio.Task[Frames]") -> bool:
    """Whether it is to be tried again."""
    return task.done() and (task.cancelled() or task.exception() is not None)


def read(session: Session, job_id: str, place: Cursor) -> Frames:
    """The next chapter of a job, as bytes."""
    job = job_repository.get(session, job_id)
    chapter = event_batches.next_events(session, job, place)
    content = [frame(job, part) for part in chapter.parts]
    ended = chapter.whole and job.state in TERMINAL
    if ended:
        content.append(format_sse_event(event="end", data_str=final_document(session, job)))
    return Frames(b"".join(content), chapter.place, chapter.whole, ended)


def frame(job: Job, part: MetricsFrame | LogFrame) -> bytes:
    """One part of the story."""
    number = str(part.place.number)
    if isinstance(part, LogFrame):
        data = event_document(part.event).model_dump_json()
        return format_sse_event(event=part.event.type, data_str=data, id=number)
    document = {
        "job": job.id,
        "iteration": min(part.place.losses, job.iteration),
        "series": {name: points_document(points) for name, points in part.series.items()},
    }
    return format_sse_event(event="metrics", data_str=orjson.dumps(document).decode(), id=number)


def final_document(session: Session, job: Job) -> str:
    """The job as it ended."""
    return written(job_document(job, queue_status(session, [job])[job.id])).decode()


async def frames(
    teller: FrameCache, watcher: Subscription, job_id: str, place: Cursor
) -> AsyncIterator[bytes]:
    """The story from a place on, to its end.

    It breaks off when the key is revoked, the job deleted or the process about to end: who comes
    again is answered. While the database is away it tells nothing, and goes on when it is back; but
    the door lets nothing out, not even a keep-alive, while nobody can say whether the key is still
    valid, so a stream breaks off at the first one, after ``KEEP_ALIVE`` seconds of silence.
    """
    yield BEGIN
    spoken_at = time.monotonic()
    while not watcher.over:
        seen = watcher.glance
        try:
            frames = await teller.frames(job_id, place, seen)
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
        except NotFound:
            return
        else:
            place = frames.place
            if frames.content:
                yield frames.content
                spoken_at = time.monotonic()
            if frames.ended:
                return
            if frames.whole:
                await watcher.news(seen, spoken_at + KEEP_ALIVE_SECONDS - time.monotonic())
        if time.monotonic() - spoken_at >= KEEP_ALIVE_SECONDS:
            yield COMMENT
            spoken_at = time.monotonic()


class JobEventStream(EventSourceResponse):
    """The answer that tells the story; whoever takes nothing for a while is let go."""

    def __init__(self, teller: FrameCache, job_id: str, key_id: str, place: Cursor) -> None:
        super().__init__((), headers=HEADERS)
        self.teller = teller
        self.job_id = job_id
        self.key_id = key_id
        self.place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tells, while somebody listens; raises ``Unavailable`` when too many do."""
        with self.teller.watch.watching(self.job_id, self.key_id) as watcher:
            self.body_iterator = frames(self.teller, watcher, self.job_id, self.place)
            await super().__call__(scope, receive, drop_slow_clients(send))


def drop_slow_clients(send: Send) -> Send:
    """A ``send`` that gives a client up who takes nothing any more."""

    async def sending(message: Message) -> None:
        try:
            with anyio.fail_after(SLOW_CLIENT_SECONDS):
                await send(message)
        except TimeoutError:
            raise ClientDisconnect from None

    return sending
