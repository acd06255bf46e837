"""What takes long is done before the transaction that others wait for, or after it."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest
from sqlalchemy import select

from app.api.requests.dependencies import READERS
from app.ids import new_id
from app.tables import Checkpoint, Dataset, Job, Tenant
from tests.app.api.routes.test_events import in_flight
from tests.app.conftest import database_of
from tests.app.talk import TINY, mistakes, posted, problem
from tests.servers import eventually
from tests.service import Service

PROMPT = 5.0
"""Seconds; SQLite waits for ten before it gives up, the other server for ever."""


TABLE = "".join(f"{i},{i % 7}.5\n" for i in range(40))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as pool:
        yield pool


@contextmanager
def writer(service: Service) -> Iterator[None]:
    """Somebody who writes, and needs long for it."""
    with database_of(service) as database, database.session() as session:
        session.scalars(select(Tenant).with_for_update()).all()
        yield


def read_from(path: Path) -> IO[bytes]:
    """To write a file that is being read; whoever reads it waits for the end."""

    def opened() -> int:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return 0

    return os.fdopen(eventually(opened, f"{path} is read"), "wb")


def forget(service: Service, *job_ids: str) -> None:
    """Deletes jobs: others share the service, and what is read here without an end they would read
    too."""
    for job_id in job_ids:
        service.http.post(f"/v1/jobs/{job_id}/cancel")
        assert service.http.delete(f"/v1/jobs/{job_id}").status_code == 204


def with_checkpoint(service: Service, content: bytes) -> tuple[str, Path]:
    """A cancelled job and the path of its checkpoint, which nobody has written yet."""
    job_id, location = posted(service, TINY, priority=-100), f"ckpt/00/{new_id('ckpt')}"
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    with database_of(service) as database, database.session() as session:
        job = session.get_one(Job, job_id)
        job.iteration = 2
        session.add(
            Checkpoint(
                id=new_id("ckpt"),
                tenant_id=job.tenant_id,
                job_id=job_id,
                iteration=2,
                location=location,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
            )
        )
    path = service.home / "objects" / location
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return job_id, path


def test_nobody_waits_while_the_files_of_a_retry_are_proved(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    content = b"a state"
    job_id, path = with_checkpoint(api, content)
    retried = pool.submit(api.http.post, f"/v1/jobs/{job_id}/retry")
    with read_from(path) as file:
        file.write(content)
        deleted = pool.submit(api.http.delete, f"/v1/jobs/{job_id}")
        assert deleted.result(PROMPT).status_code == 204
        assert posted(api, TINY)
        assert not retried.done()
    problem(retried.result(PROMPT), 404, "not_found")


def test_a_retry_begins_at_the_checkpoint_that_was_proved(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    job_id, path = with_checkpoint(api, b"a state")
    retried = pool.submit(api.http.post, f"/v1/jobs/{job_id}/retry")
    with read_from(path) as file:
        file.write(b"a state")
    document = retried.result(PROMPT).json()
    assert (document["retry_of"], document["progress"]["iteration"]) == (job_id, 2)
    forget(api, document["id"], job_id)


@pytest.mark.parametrize("of_a_job", [False, True], ids=["preview", "examples"])
def test_nobody_waits_while_the_files_of_tables_are_proved(
    of_a_job: bool, api: Service, pool: ThreadPoolExecutor
) -> None:
    headers = {"Content-Type": "text/csv"}
    found = api.http.post("/v1/datasets?target=b", content=f"a,b\n{TABLE}", headers=headers).json()
    job_id = posted(api, TINY, dataset=found["id"], priority=-100)
    with database_of(api) as database, database.session(write=False) as session:
        path = api.home / "objects" / session.get_one(Dataset, found["id"]).location
    path.unlink()
    os.mkfifo(path)
    warm = api.http.get(f"/v1/jobs/{posted(api, TINY)}/examples?split=train")
    assert warm.status_code == 200  # torch is loaded
    looks = [f"/v1/datasets/{found['id']}/preview", f"/v1/jobs/{job_id}/examples?split=train"]
    asked = [
        pool.submit(api.http.get, looks[of_a_job]) for _ in range(int(READERS.total_tokens) + 2)
    ]
    with read_from(path):
        eventually(lambda: in_flight(api) >= len(asked), "all are under way")
        for other in ("/v1/jobs?limit=1", "/v1/datasets?limit=1"):
            assert pool.submit(api.http.get, other).result(PROMPT).status_code == 200
        assert not any(one.done() for one in asked)
        path.unlink()  # whoever has not begun to read finds nothing
    for one in asked:
        problem(one.result(PROMPT), 503, "unavailable")
    forget(api, job_id)
    assert api.http.delete(f"/v1/datasets/{found['id']}").status_code == 204


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/jobs", {**TINY, "iterations": 0}, "/iterations"),
        ("/v1/jobs/batch", {"jobs": [TINY, {**TINY, "iterations": 0}]}, "/jobs/1/iterations"),
    ],
)
def test_mistakes_are_told_without_waiting_for_who_writes(
    path: str, body: Any, pointer: str, api: Service, pool: ThreadPoolExecutor
) -> None:
    headers = {"Idempotency-Key": new_id("wrong")}
    with writer(api):
        answer = pool.submit(api.http.post, path, json=body, headers=headers)
        assert list(mistakes(answer.result(PROMPT))) == [pointer]


def test_what_was_answered_before_is_answered_without_waiting_for_who_writes(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    headers = {"Idempotency-Key": new_id("again")}

    def ask(**changes: Any) -> Future[httpx2.Response]:
        return pool.submit(api.http.post, "/v1/jobs", json={**TINY, **changes}, headers=headers)

    first = ask().result(PROMPT)
    assert first.status_code == 202
    with writer(api):
        again = ask().result(PROMPT)
        problem(ask(seed=1).result(PROMPT), 422, "idempotency_key_reused")
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
