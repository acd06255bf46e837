"""Questions that several clients ask at once, and that nobody waits for any more."""

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import select, update

from app.database.base import db_now
from app.tables import Task, TaskState
from tests.app.api.routes.test_events import in_flight
from tests.app.conftest import Connect, database_of
from tests.app.talk import TINY, posted, problem
from tests.servers import eventually
from tests.service import Service


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as pool:
        yield pool


def asked(service: Service, job_id: str) -> list[Task]:
    """What a worker would find, if there were one."""
    with database_of(service) as database, database.session(write=False) as session:
        query = select(Task).where(Task.job_id == job_id).order_by(Task.id)
        return list(session.scalars(query))


def answer(service: Service, task: Task) -> None:
    """As a worker does."""
    values = {"state": TaskState.SUCCEEDED, "result": {"of": task.id}, "finished_at": db_now()}
    with database_of(service) as database, database.session() as session:
        session.execute(update(Task).where(Task.id == task.id).values(**values))


def test_equal_questions_at_the_same_time_are_one_task(
    api: Service, pool: ThreadPoolExecutor, tenant: Connect
) -> None:
    job_id, before = posted(api, TINY, priority=-100), in_flight(api)
    where = f"/v1/jobs/{job_id}/iterations/0"
    stranger = tenant(api)

    def ask(query: str, count: int) -> list[Future[httpx2.Response]]:
        return [pool.submit(api.http.get, where + query) for _ in range(count)]

    summaries = ask("", 40)
    eventually(lambda: in_flight(api) - before >= 40 and asked(api, job_id), "they wait")
    weights = ask("?parameters=0.weight", 2)
    eventually(lambda: len(asked(api, job_id)) == 2, "another question is another task")
    problem(stranger.get(where), 404, "not_found")  # theirs are not joined
    first, second = asked(api, job_id)
    for task, waiting in ((first, summaries), (second, weights)):
        assert not any(one.done() for one in waiting)
        answer(api, task)
        found = [one.result(5) for one in waiting]
        assert [(a.status_code, a.json()) for a in found] == [(200, {"of": task.id})] * len(found)
    assert len(asked(api, job_id)) == 2


def test_a_question_that_was_answered_is_asked_anew(api: Service, pool: ThreadPoolExecutor) -> None:
    job_id = posted(api, TINY, priority=-100)
    for count in (1, 2):
        one = pool.submit(api.http.get, f"/v1/jobs/{job_id}/iterations/0")
        eventually(lambda n=count: len(asked(api, job_id)) == n, "it is asked")  # type: ignore[misc]
        answer(api, asked(api, job_id)[-1])
        assert one.result(5).status_code == 200


def test_nobody_waits_for_a_client_that_has_left(api: Service, pool: ThreadPoolExecutor) -> None:
    """Those who asked the same with it go on waiting."""
    job_id, before = posted(api, TINY, priority=-100), in_flight(api)
    where = f"/v1/jobs/{job_id}/iterations/0"
    request = f"GET {where} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {api.key}\r\n\r\n"
    address = httpx2.URL(api.url)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(request.encode())
        eventually(lambda: asked(api, job_id), "it is asked")
        other = pool.submit(api.http.get, where)
        eventually(lambda: in_flight(api) - before >= 2, "both wait")
    eventually(lambda: in_flight(api) - before == 1, "it is forgotten", within=5)
    assert not other.done()
    answer(api, asked(api, job_id)[0])
    assert other.result(5).status_code == 200
    assert len(asked(api, job_id)) == 1
