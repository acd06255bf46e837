"""A witness: what the service promised and said, over all faults, and whether it stood by it."""

import threading
from contextlib import closing
from typing import Any

import httpx2
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from app.database.session import Database
from app.tables import Job
from tests.service import Service

EVERY = 0.25
"""Seconds between two looks."""


class Ledger:
    """Reads every accepted job again and again, as a client does and from the database.

    Whatever contradicts what was seen before, or is no proper refusal, ends up in ``broken``.
    """

    def __init__(self, service: Service, database: Database) -> None:
        self.service = service
        self.database = database
        self.accepted: list[str] = []
        self.losses: dict[str, list[Any]] = {}
        self.fences: dict[str, int] = {}
        self.ended: dict[str, tuple[str, str]] = {}
        self.statuses: dict[int, int] = {}
        self.broken: list[str] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work, name="ledger")

    def note(self, answer: httpx2.Response) -> httpx2.Response:
        """An answer as it has to be: a refusal that may be tried again says when."""
        status = answer.status_code
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 500 and (status != 503 or "Retry-After" not in answer.headers):
            self.broken.append(f"{answer.request.url} answered {status}: {answer.text[:200]}")
        return answer

    def work(self) -> None:
        """The thread."""
        key = {"Authorization": f"Bearer {self.service.key}"}
        client = httpx2.Client(base_url=self.service.url, headers=key, timeout=15, trust_env=False)
        with closing(client):
            while not self.over.wait(EVERY):
                for job_id in list(self.accepted):
                    self.read(client, job_id)
                self.look()

    def read(self, client: httpx2.Client, job_id: str) -> None:
        """The losses of a job: those that were seen stay."""
        if job_id in self.ended:
            return
        try:
            answer = self.note(client.get(f"/v1/jobs/{job_id}/metrics?series=loss"))
        except httpx2.TransportError:
            return  # nobody is there just now
        if answer.status_code != 200:
            return
        series = answer.json()["series"].get("loss", {"iteration": [], "value": []})
        known = self.losses.get(job_id, [])
        if series["iteration"] != list(range(len(series["iteration"]))):
            self.broken.append(f"{job_id}: iterations are missing or doubled")
        if series["value"][: len(known)] != known:
            self.broken.append(f"{job_id}: a loss that was read is another one now, or gone")
        self.losses[job_id] = series["value"]

    def look(self) -> None:
        """Fences never fall, and what has ended stays as it ended."""
        try:
            with self.database.session(write=False) as session:
                query = select(Job.id, Job.fence, Job.state, Job.finished_at)
                rows = session.execute(query.where(Job.id.in_(self.accepted))).all()
        except SQLAlchemyError:
            return
        for job_id, fence, state, finished_at in rows:
            if fence < self.fences.get(job_id, 0):
                self.broken.append(f"{job_id}: its fence fell to {fence}")
            self.fences[job_id] = fence
            if finished_at is not None:
                end = (state, str(finished_at))
                if self.ended.setdefault(job_id, end) != end:
                    self.broken.append(f"{job_id}: ended as {self.ended[job_id]}, then as {end}")

    def __enter__(self) -> "Ledger":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
