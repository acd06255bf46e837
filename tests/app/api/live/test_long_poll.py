"""An answer about a job that is held until something happened to it."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import text, update

from app.database.base import db_now
from app.tables import ApiKey, Job
from tests.app.api.routes.test_events import in_flight
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import TINY, Document, finished, mistakes, posted, problem
from tests.servers import eventually
from tests.service import Service


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as pool:
        yield pool


def waiting(
    pool: ThreadPoolExecutor, service: Service, job_id: str, query: str, count: int = 1
) -> list[Future[httpx2.Response]]:
    """Requests that are under way, and wait."""
    before = in_flight(service)
    where = f"/v1/jobs/{job_id}?{query}"
    found = [pool.submit(service.http.get, where) for _ in range(count)]
    eventually(lambda: in_flight(service) - before >= count, "they are under way")
    time.sleep(0.3)
    assert not any(future.done() for future in found)
    return found


def recorded(service: Service, job_id: str, iteration: int) -> None:
    """So many losses, as a worker writes them."""
    with database_of(service) as database, database.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(iteration=iteration))


def timed(service: Service, path: str) -> tuple[Document, float]:
    began = time.monotonic()
    document: Document = service.http.get(path).json()
    return document, time.monotonic() - began


def test_the_answer_comes_when_the_state_changes(api: Service, pool: ThreadPoolExecutor) -> None:
    job_id = posted(api, TINY)
    (answer,) = waiting(pool, api, job_id, "wait=30")
    recorded(api, job_id, 2)  # that is no other state
    time.sleep(0.3)
    assert not answer.done()
    api.http.post(f"/v1/jobs/{job_id}/pause")
    assert answer.result(2).json()["state"] == "paused"


def test_the_answer_comes_when_the_iteration_has_passed(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    job_id = posted(api, TINY)
    (answer,) = waiting(pool, api, job_id, "wait=30&after=1")
    api.http.post(f"/v1/jobs/{job_id}/pause")  # that is no iteration
    recorded(api, job_id, 1)
    time.sleep(0.3)
    assert not answer.done()
    recorded(api, job_id, 2)
    assert answer.result(2).json()["progress"]["iteration"] == 2
    document, seconds = timed(api, f"/v1/jobs/{job_id}?wait=30&after=1")
    assert (document["progress"]["iteration"], seconds < 1) == (2, True)


@pytest.mark.parametrize("query", ["wait=30", "wait=30&after=99"])
def test_the_end_is_never_waited_for_once_it_is_there(
    query: str, api: Service, pool: ThreadPoolExecutor
) -> None:
    job_id = posted(api, TINY)
    (answer,) = waiting(pool, api, job_id, query)
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.result(2).json()["state"] == "cancelled"
    document, seconds = timed(api, f"/v1/jobs/{job_id}?{query}")
    assert (document["state"], seconds < 1) == ("cancelled", True)


@pytest.mark.parametrize("query", ["wait=0.5", "wait=0.5&after=2"])
def test_when_the_time_is_up_the_job_is_as_it_is(query: str, api: Service) -> None:
    document, seconds = timed(api, f"/v1/jobs/{posted(api, TINY)}?{query}")
    assert document["state"] == "queued"
    assert 0.5 <= seconds < 2


def test_a_job_that_trains_is_waited_for_to_its_end(service: Service) -> None:
    job_id = posted(service, TINY, iterations=2000)
    while (document := service.http.get(f"/v1/jobs/{job_id}?wait=60").json())["state"] == "queued":
        pass
    if document["state"] == "running":
        document = service.http.get(f"/v1/jobs/{job_id}?wait=60").json()
    assert document["state"] == "succeeded"
    assert document == finished(service, job_id)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        *(("wait=61", "/wait"), ("wait=-1", "/wait"), ("wait=NaN", "/wait"), ("wait=x", "/wait")),
        *(("wait=1&after=-2", "/after"), ("wait=1&after=2147483648", "/after")),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused(query: str, pointer: str, api: Service) -> None:
    answer = api.http.get(f"/v1/jobs/job_any?{query}")
    assert list(mistakes(answer, "invalid_request")) == [pointer]
    problem(api.http.get("/v1/jobs/job_any?wait=5"), 404, "not_found")


def test_who_waits_holds_neither_a_thread_nor_a_connection(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    # More than the threads of the process, and than the connections of its pool.
    job_id = posted(api, TINY)
    answers = waiting(pool, api, job_id, "wait=60", count=80)
    for _ in range(5):
        document, seconds = timed(api, "/v1/jobs?limit=1")
        assert document["data"]
        assert seconds < 1
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert {answer.result(5).json()["state"] for answer in answers} == {"cancelled"}


def test_a_client_that_leaves_is_not_waited_for(api: Service) -> None:
    job_id = posted(api, TINY)
    before = in_flight(api)
    request = f"GET /v1/jobs/{job_id}?wait=60 HTTP/1.1\r\nHost: localhost\r\n"
    request += f"Authorization: Bearer {api.key}\r\n\r\n"
    address = httpx2.URL(api.url)
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(request.encode())
        eventually(lambda: in_flight(api) > before, "it waits")
    eventually(lambda: in_flight(api) == before, "it is forgotten", within=2)


def test_a_revoked_key_waits_no_longer(
    api: Service, connect: Connect, pool: ThreadPoolExecutor
) -> None:
    job_id, key = posted(api, TINY), new_key(api)
    answer = pool.submit(connect(api, key).get, f"/v1/jobs/{job_id}?wait=60")
    eventually(lambda: in_flight(api) > 0, "it waits")
    named = update(ApiKey).where(ApiKey.id == f"key_{key.split('_')[1]}")
    with database_of(api) as database, database.session() as session:
        session.execute(named.values(revoked_at=db_now()))
    problem(answer.result(5), 401, "unauthenticated")


def test_who_waits_goes_on_when_the_database_is_back(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    job_id = posted(api, TINY)
    (answer,) = waiting(pool, api, job_id, "wait=60")
    with database_of(api) as database:
        with database.session() as session:
            session.execute(text("ALTER TABLE jobs RENAME TO hidden"))
        time.sleep(1.5)  # some looks that find nothing
        with database.session() as session:
            session.execute(text("ALTER TABLE hidden RENAME TO jobs"))
    assert not answer.done()
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.result(5).json()["state"] == "cancelled"


# -- many who look at once


def test_everybody_who_looks_sees_what_happened_before_they_asked(
    api: Service, pool: ThreadPoolExecutor
) -> None:
    job_ids = [posted(api, TINY) for _ in range(8)]

    def changed_and_seen(job_id: str) -> bool:
        for n in range(10):
            body = {"metadata": {"n": str(n)}}
            assert api.http.patch(f"/v1/jobs/{job_id}", json=body).status_code == 200
            assert api.http.get(f"/v1/jobs/{job_id}").json()["metadata"] == {"n": str(n)}
        return True

    assert all(pool.map(changed_and_seen, job_ids))


def test_one_job_that_cannot_be_shown_is_no_failure_of_the_others(
    api: Service, pool: ThreadPoolExecutor, tenant: Connect
) -> None:
    good, bad = posted(api, TINY), posted(api, TINY)
    with database_of(api) as database, database.session() as session:
        session.execute(update(Job).where(Job.id == bad).values(spec="no specification"))
    stranger = tenant(api)
    asked = [(api.http, good, 200), (api.http, bad, 500), (stranger, good, 404)] * 20
    answers = pool.map(lambda ask: (ask[0].get(f"/v1/jobs/{ask[1]}").status_code, ask[2]), asked)
    assert {found == expected for found, expected in answers} == {True}
    with database_of(api) as database, database.session() as session:
        session.delete(session.get_one(Job, bad))
