"""The log of a job, and the stream of all that it tells."""

import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from sqlalchemy import text, update

from app.database.base import db_now
from app.services.jobs import event_log
from app.tables import ApiKey
from tests.app.conftest import Connect, database_of, new_key
from tests.app.streams import STREAM, Frame, entries, heard, holds, opened, points
from tests.app.talk import DIGITS, FOR_EVER, TINY, Document, metrics, mistakes, posted, problem
from tests.servers import eventually
from tests.service import Service

SERIES = "loss,validation_loss,validation_accuracy"


def listed(service: Service, job_id: str, **query: Any) -> Document:
    answer = service.http.get(f"/v1/jobs/{job_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def happened(service: Service, job_id: str, count: int = 1) -> None:
    """So many more entries in the log of a job."""
    with database_of(service) as database, database.session() as session:
        for n in range(count):
            event_log.record(session, job_id, "note", {"n": n})


# -- the log


def test_a_log_is_the_oldest_first_and_its_pages_are_the_whole(api: Service) -> None:
    job_id = posted(api, TINY)
    happened(api, job_id, 6)
    whole = listed(api, job_id)
    assert [entry["sequence"] for entry in whole["data"]] == list(range(1, 8))
    assert (whole["has_more"], whole["next"]) == (False, None)
    first = whole["data"][0]
    assert set(first) == {
        *("id", "object", "job", "sequence", "type", "iteration", "data", "created_at")
    }
    assert (first["type"], first["data"]["state"], first["job"]) == ("state", "queued", job_id)
    found, page = [], listed(api, job_id, limit=3)
    while page["has_more"]:
        assert page["next"] == page["data"][-1]["sequence"]
        found += page["data"]
        page = listed(api, job_id, limit=3, after=page["next"])
    assert found + page["data"] == whole["data"]
    assert listed(api, job_id, after=7)["data"] == []


@pytest.mark.parametrize("query", ["after=-1", "limit=0", "limit=101", "after=x", "after=1e3"])
def test_a_page_that_makes_no_sense_is_refused(query: str, api: Service) -> None:
    mistakes(api.http.get(f"/v1/jobs/job_any/events?{query}"), "invalid_request")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_the_log_of_another_tenant_is_not_there(accept: str, api: Service, tenant: Connect) -> None:
    path, header = f"/v1/jobs/{posted(api, TINY)}/events", {"Accept": accept}
    problem(tenant(api).get(path, headers=header), 404, "not_found")
    problem(api.http.get("/v1/jobs/job_x/events", headers=header), 404, "not_found")
    problem(api.http.get(path, headers={"Accept": "text/csv"}), 406, "not_acceptable")


# -- the stream of a job that has ended


def test_a_job_that_has_ended_tells_all_of_it_and_the_end(
    service: Service, digits: Document
) -> None:
    found = heard(service, digits["id"])
    holds(found)
    whole = metrics(service, digits["id"], series=SERIES)["series"]
    for name, series in whole.items():
        assert points(found, name) == dict(zip(series["iteration"], series["value"], strict=True))
    assert entries(found) == listed(service, digits["id"])["data"]
    assert [entry["data"]["state"] for entry in entries(found)] == [
        *("queued", "running", "succeeded")
    ]
    assert (found[-1].type, found[-1].data) == ("end", digits)


def test_from_every_number_on_the_rest_is_told(service: Service, digits: Document) -> None:
    whole = heard(service, digits["id"])
    for known in (0, 1, 2, 3, 30, 61, 62, whole[-1].number - 1, whole[-1].number):
        found = heard(service, digits["id"], known)
        losses = {n: value for n, value in points(whole).items() if n + 3 > known}
        assert points(found) == losses
        assert entries(found) == [e for e in entries(whole) if e["sequence"] > known]
        assert found[-1].type == "end"


def test_the_number_may_stand_in_the_address_and_the_header_counts_more(
    service: Service, digits: Document
) -> None:
    whole = heard(service, digits["id"])
    for query in ({"last_event_id": 60}, {"after": 60}):
        with opened(service.http, digits["id"], **query) as stream:
            assert list(stream) == heard(service, digits["id"], 60)
    with opened(service.http, digits["id"], whole[-2].number, last_event_id=1) as stream:
        assert [frame.type for frame in stream] == ["end"]


@pytest.mark.parametrize(
    ("headers", "query", "pointer"),
    [
        ({"Last-Event-ID": "x"}, {}, "/Last-Event-ID"),
        ({"Last-Event-ID": "-1"}, {}, "/Last-Event-ID"),
        ({"Last-Event-ID": "999999"}, {}, "/Last-Event-ID"),
        ({}, {"last_event_id": "999999"}, "/last_event_id"),
        ({}, {"after": str(2**63)}, "/after"),
        ({}, {"limit": "5"}, "/limit"),
    ],
)
def test_a_place_that_is_not_there_is_refused(
    headers: dict[str, str],
    query: dict[str, str],
    pointer: str,
    service: Service,
    digits: Document,
) -> None:
    where = f"/v1/jobs/{digits['id']}/events"
    answer = service.http.get(where, params=query, headers=STREAM | headers)
    assert list(mistakes(answer, "invalid_request")) == [pointer]


# -- the stream of a job that trains


def test_while_a_job_trains_its_losses_come_soon_and_then_its_end(service: Service) -> None:
    job_id = posted(service, FOR_EVER)
    found: list[Frame] = []
    with opened(service.http, job_id) as stream:
        for frame in stream:
            found.append(frame)
            frames = sum(frame.type == "metrics" for frame in found)
            if frames > 5 and not any(
                e["data"].get("state") == "cancelled" for e in entries(found)
            ):
                service.http.post(f"/v1/jobs/{job_id}/cancel")
    holds(found)
    whole = metrics(service, job_id)["series"]["loss"]
    assert points(found) == dict(zip(whole["iteration"], whole["value"], strict=True))
    assert (found[-1].type, found[-1].data["state"]) == ("end", "cancelled")


def test_entries_and_losses_come_in_the_order_in_which_they_happened(service: Service) -> None:
    job_id = posted(service, DIGITS, iterations=100_000)
    found: list[Frame] = []
    with opened(service.http, job_id) as stream:
        for frame in stream:
            found.append(frame)
            if frame.type == "metrics" and len(entries(found)) < 5:
                service.http.patch(f"/v1/jobs/{job_id}", json={"lr": 0.01 / len(found)})
            if len(entries(found)) == 5:
                service.http.post(f"/v1/jobs/{job_id}/cancel")
    holds(found)
    assert [e["type"] for e in entries(found)].count("intervention") >= 3
    for frame in found:
        if frame.type == "intervention":
            before = found[: found.index(frame)]
            assert len(points(before)) == frame.data["iteration"]


def test_a_stream_that_is_broken_off_anywhere_goes_on_there(service: Service) -> None:
    job_id = posted(service, FOR_EVER)
    found: list[Frame] = []
    for turn in range(8):
        known = found[-1].number if found else 0
        with opened(service.http, job_id, known) as stream:
            for frame, _ in zip(stream, range(2), strict=False):
                found.append(frame)
        if turn == 5:
            service.http.post(f"/v1/jobs/{job_id}/cancel")
    found += heard(service, job_id, found[-1].number)
    holds(found)
    whole = metrics(service, job_id)["series"]["loss"]
    assert points(found) == dict(zip(whole["iteration"], whole["value"], strict=True))
    assert entries(found) == listed(service, job_id)["data"]


# -- what may come between


def test_a_revoked_key_ends_what_it_began(api: Service, connect: Connect) -> None:
    job_id, key = posted(api, TINY), new_key(api)
    with opened(connect(api, key), job_id) as stream:
        assert next(stream).data["data"]["state"] == "queued"
        named = update(ApiKey).where(ApiKey.id == f"key_{key.split('_')[1]}")
        with database_of(api) as database, database.session() as session:
            session.execute(named.values(revoked_at=db_now()))
        began = time.monotonic()
        with suppress(httpx2.RemoteProtocolError):  # broken off, not ended
            assert list(stream) == []
        assert time.monotonic() - began < 5


def test_while_the_database_is_away_a_stream_is_silent_and_then_goes_on(api: Service) -> None:
    job_id = posted(api, TINY)
    with opened(api.http, job_id) as stream:
        assert next(stream).number == 1
        with database_of(api) as database:
            with database.session() as session:
                session.execute(text("ALTER TABLE jobs RENAME TO hidden"))
            time.sleep(1.5)  # some looks that find nothing
            with database.session() as session:
                session.execute(text("ALTER TABLE hidden RENAME TO jobs"))
        happened(api, job_id)
        assert next(stream).data["type"] == "note"
        api.http.post(f"/v1/jobs/{job_id}/cancel")
        assert [frame.type for frame in stream] == ["state", "end"]


def test_a_job_that_is_deleted_ends_its_streams(api: Service) -> None:
    job_id = posted(api, TINY)
    with opened(api.http, job_id) as stream:
        next(stream)
        with database_of(api) as database, database.session() as session:
            session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job_id})
        assert list(stream) == []


def in_flight(service: Service) -> float:
    """Requests that are not fully answered yet, but for the one that asks."""
    figures = service.http.get("/metrics").text.splitlines()
    (line,) = [f for f in figures if f.startswith("fallline_http_requests_in_flight ")]
    return float(line.split()[1]) - 1


def test_a_client_that_leaves_leaves_nothing(api: Service) -> None:
    job_id = posted(api, TINY)
    for _ in range(5):
        with opened(api.http, job_id) as stream:
            next(stream)
    eventually(lambda: in_flight(api) == 0, "no stream is left")


def test_a_silent_stream_says_that_it_is_there(api: Service) -> None:
    job_id = posted(api, TINY)
    where = f"/v1/jobs/{job_id}/events"
    with api.http.stream("GET", where, headers=STREAM | {"Last-Event-ID": "1"}) as answer:
        began = time.monotonic()
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        assert next(line for line in lines if line) == ": keep-alive"
        assert 9 < time.monotonic() - began < 15


def test_only_so_many_may_watch_at_once(service: Service, another_api: Connect) -> None:
    client = another_api(max_watchers=2)
    job_id = posted(service, FOR_EVER)
    where = f"/v1/jobs/{job_id}"
    with opened(client, job_id) as one, opened(client, job_id) as two:
        assert next(one).number == next(two).number == 1
        refused = [
            client.get(f"{where}/events", headers=STREAM),
            client.get(where, params={"wait": 5, "after": 10**8}),
        ]
        for answer in refused:
            problem(answer, 503, "too_many_watchers")
            assert answer.headers["Retry-After"]
        assert client.get(where).status_code == 200
    eventually(lambda: client.get(where, params={"wait": 0.1}).status_code == 200, "room again")
    service.http.post(f"{where}/cancel")
