"""A job as clients see it, read once for all who ask at the same time.

Every look begins after it was asked for, so that nobody is told what was true before. Those who ask
while one is under way take part in the next: a thousand clients that poll cost a few reads, and
none is served from a memory that may be wrong.
"""

import asyncio
import time
from collections import defaultdict
from typing import NamedTuple

from anyio import to_thread

from app.api.requests.preconditions import etag
from app.api.schemas.jobs import JobDocument, job_document
from app.database.session import Database
from app.errors import UnknownJob
from app.services.jobs import job_repository
from app.services.jobs.queue_position import QueueStatus, queue_status
from app.services.jobs.revision import JobRevision, glance
from app.tables import Job

BATCH_INTERVAL_SECONDS = 0.05
"""Seconds between the beginnings of two looks while many ask; who is alone does not wait."""


class JobSnapshot(NamedTuple):
    """What was seen of a job: the numbers that tell whether something happened, the bytes of its
    document, and their validator."""

    glance: JobRevision
    content: bytes
    etag: str


Found = dict[tuple[str, str], JobSnapshot | Exception]


class Batch:
    """Who wants to see what, by tenant, and the answer when it is there."""

    def __init__(self) -> None:
        self.job_ids = defaultdict[str, set[str]](set)
        self.askers = 0
        self.found: Found | Exception = {}
        self.answered = asyncio.Event()


class JobLoader:
    """The looks of one process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.next: Batch | None = None
        self.task: asyncio.Task[None] | None = None

    async def at(self, tenant_id: str, job_id: str) -> JobSnapshot:
        """A job of a tenant as it is now, or at a later moment; raises ``NotFound``."""
        if self.next is None:
            self.next = Batch()
        asked = self.next
        asked.askers += 1
        asked.job_ids[tenant_id].add(job_id)
        if self.task is None:
            self.task = asyncio.create_task(self.work())
        await asked.answered.wait()
        found = asked.found
        look = found if isinstance(found, Exception) else found[tenant_id, job_id]
        if isinstance(look, Exception):
            raise look
        return look

    async def work(self) -> None:
        """Looks until nobody asks any more."""
        while self.next is not None:
            asked, self.next = self.next, None
            began = time.monotonic()
            try:
                asked.found = await to_thread.run_sync(self.look, asked.job_ids)
            except Exception as error:  # noqa: BLE001 -- no thread to be had: they are told
                asked.found = error
            asked.answered.set()
            if asked.askers > 1:  # it is worth while to let some more come together
                await asyncio.sleep(max(0.0, began + BATCH_INTERVAL_SECONDS - time.monotonic()))
        self.task = None

    def look(self, asked: dict[str, set[str]]) -> Found:
        """Reads all of it; what goes wrong with one job is no failure of the others."""
        found: Found = {}
        for tenant_id, job_ids in asked.items():
            try:
                with self.database.session(tenant_id, write=False) as session:
                    there = job_repository.get_many(session, job_ids)
                    standing = queue_status(session, list(there.values()))
                    for job_id in job_ids:
                        job = there.get(job_id)
                        found[tenant_id, job_id] = seen(job_id, job, standing.get(job_id))
            except Exception as error:  # noqa: BLE001 -- it is raised again by each who asked
                found |= {(tenant_id, job_id): error for job_id in job_ids}
        return found


def seen(job_id: str, job: Job | None, standing: QueueStatus | None) -> JobSnapshot | Exception:
    """One job, or why it cannot be seen."""
    if job is None or standing is None:
        return UnknownJob(job_id)
    try:
        content = written(job_document(job, standing))
        return JobSnapshot(glance(job), content, etag(content))
    except Exception as error:  # noqa: BLE001 -- it is raised again by each who asked
        return error


def written(document: JobDocument) -> bytes:
    """The bytes of a job's document; its ``ETag`` is made of them."""
    return document.model_dump_json().encode()
