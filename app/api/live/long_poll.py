"""To hold an answer until something happened to a job."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.requests import ClientDisconnect

from app.api.live.event_stream import FrameCache
from app.api.live.job_loader import JobLoader
from app.api.live.job_watcher import JobWatcher
from app.services.jobs.revision import JobRevision
from app.tables import TERMINAL

Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for a change, at most.")]
Passed = Annotated[
    int | None, Query(ge=-1, le=2**31 - 1, description="The iteration to wait for, with `wait`.")
]


# Called, not depended on: a thousand clients poll every second, and each dependency has its price.


def watch_of(request: Request) -> JobWatcher:
    """What is watched through this process."""
    watch: JobWatcher = request.app.state.watch
    return watch


def teller_of(request: Request) -> FrameCache:
    """Who tells the stories of jobs."""
    teller: FrameCache = request.app.state.teller
    return teller


def looks_of(request: Request) -> JobLoader:
    """Where jobs are looked at together."""
    looks: JobLoader = request.app.state.looks
    return looks


def condition(first: JobRevision, after: int | None) -> Callable[[JobRevision], bool]:
    """What is waited for: the end, or the loss of iteration ``after``, or another state."""

    def met(glance: JobRevision) -> bool:
        if glance.events < first.events:
            return False  # seen for somebody else, before
        if glance.state in TERMINAL:
            return True
        return glance.iteration > after if after is not None else glance.state != first.state

    return met


async def unless_gone(request: Request, waiting: Coroutine[Any, Any, None]) -> None:
    """Waits, but for nobody: raises ``ClientDisconnect`` when the client has left."""
    tasks = asyncio.create_task(waiting), asyncio.create_task(gone(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientDisconnect
        tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def gone(request: Request) -> None:
    """Until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
