"""``Idempotency-Key``: a POST that is repeated happens once, on every route that has an effect."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select, update

from app.api.requests.idempotency import UNREPEATED
from app.database.base import db_now
from app.database.session import Database
from app.ids import new_id
from app.services import idempotency
from app.services.idempotency import AlreadyAnswered, IdempotentRequest
from app.tables import IdempotentAnswer, Job
from tests.app.conftest import Connect, database_of, new_key
from tests.app.database.test_session import Tenants
from tests.app.talk import DIGITS, TINY, mistakes, posted, problem, trained
from tests.service import Service

Call = tuple[str, Any]
"""Where to, and with what: a document, or a table as text."""


def queued(service: Service, verb: str, body: Any = None) -> Call:
    """About a job that waits: its turn comes after whatever else there is."""
    return f"/v1/jobs/{posted(service, TINY, priority=-100)}/{verb}", body


def resumable(service: Service) -> Call:
    job_id = posted(service, TINY, priority=-100)
    assert service.http.post(f"/v1/jobs/{job_id}/pause").status_code == 202
    return f"/v1/jobs/{job_id}/resume", None


def retriable(service: Service) -> Call:
    job_id = posted(service, TINY, priority=-100)
    assert service.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    return f"/v1/jobs/{job_id}/retry", None


CALLS: dict[str, Callable[[Service], Call]] = {
    "/v1/jobs": lambda s: ("/v1/jobs", TINY),
    "/v1/jobs/batch": lambda s: ("/v1/jobs/batch", {"jobs": [TINY, TINY]}),
    "/v1/datasets": lambda s: ("/v1/datasets?target=b", "a,b\n1,2\n2,3\n3,5\n"),
    "/v1/jobs/{job_id}/cancel": lambda s: queued(s, "cancel"),
    "/v1/jobs/{job_id}/pause": lambda s: queued(s, "pause"),
    "/v1/jobs/{job_id}/resume": resumable,
    "/v1/jobs/{job_id}/retry": retriable,
    "/v1/keys": lambda s: ("/v1/keys", {"scopes": ["read"]}),
    "/v1/tenants": lambda s: ("/v1/tenants", {"name": new_id("tenant")}),
}
"""On a service without a worker."""

TRAINED: dict[str, Callable[[Service], Call]] = {
    "/v1/jobs/{job_id}/verify": lambda s: (f"/v1/jobs/{trained(s, TINY)['id']}/verify", None),
    "/v1/jobs/{job_id}/fork": lambda s: (
        f"/v1/jobs/{trained(s, DIGITS, checkpoint_every_seconds=0)['id']}/fork",
        {"iteration": 10},
    ),
}
"""On a service that trains."""


def twice(service: Service, call: Call, **headers: str) -> list[httpx2.Response]:
    path, body = call
    given = {"Idempotency-Key": new_id("key"), **headers}
    if isinstance(body, str):
        given |= {"Content-Type": "text/csv"}
        return [service.http.post(path, content=body, headers=given) for _ in range(2)]
    return [service.http.post(path, json=body, headers=given) for _ in range(2)]


def count(service: Service, table: type[Any]) -> int:
    with database_of(service) as database, database.session(write=False) as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


def test_every_post_that_has_an_effect_is_looked_at_here(operations: frozenset[str]) -> None:
    posts = {o.removeprefix("POST ") for o in operations if o.startswith("POST ")}
    assert posts - UNREPEATED == set(CALLS) | set(TRAINED)


def repeated(service: Service, call: Call) -> None:
    first, again = twice(service, call)
    assert first.status_code in {200, 201, 202}, first.text
    assert "Idempotency-Replayed" not in first.headers
    assert again.status_code == first.status_code
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.headers.get("Location") == first.headers.get("Location")
    if not call[0].endswith("/keys"):
        assert again.content == first.content


@pytest.mark.parametrize("path", CALLS)
def test_a_repeated_post_is_answered_as_the_first(path: str, api: Service) -> None:
    repeated(api, CALLS[path](api))


@pytest.mark.parametrize("path", TRAINED)
def test_a_repeated_post_about_a_trained_job_is_answered_as_the_first(
    path: str, service: Service
) -> None:
    repeated(service, TRAINED[path](service))


def test_it_happens_once(api: Service) -> None:
    before = count(api, Job)
    first, again = twice(api, ("/v1/jobs", TINY))
    assert again.json()["id"] == first.json()["id"]
    assert count(api, Job) == before + 1


def test_twins_wait_for_one_another_and_one_acts(api: Service) -> None:
    before, headers = count(api, Job), {"Idempotency-Key": new_id("twin")}
    found: list[httpx2.Response] = []

    def ask() -> None:
        found.append(api.http.post("/v1/jobs", json=TINY, headers=headers))

    twins = [threading.Thread(target=ask) for _ in range(8)]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join()
    assert {answer.status_code for answer in found} == {202}
    assert len({answer.json()["id"] for answer in found}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in found) == 7
    assert count(api, Job) == before + 1


def test_a_twin_waits_as_long_as_the_first_one_needs(rows: Database, tenants: Tenants) -> None:
    """What the first has not committed is neither answered nor done again."""
    seen: list[object] = []

    def twin() -> None:
        try:
            with rows.session(tenants[1]) as session:
                idempotency.begin(session, tenants[1], IdempotentRequest("key", "same"))
        except AlreadyAnswered as known:
            seen.append(known.body)

    with rows.session(tenants[1]) as session:
        first = IdempotentRequest("key", "same")
        idempotency.begin(session, tenants[1], first)
        second = threading.Thread(target=twin)
        second.start()
        second.join(0.3)
        assert second.is_alive()
        idempotency.keep(first, 202, {}, b"done")
    second.join()
    assert seen == [b"done"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/jobs", {**TINY, "seed": 1}), ("/v1/tenants", {"name": "x"})],
)
def test_a_key_used_for_something_else_is_refused(path: str, body: object, api: Service) -> None:
    headers = {"Idempotency-Key": new_id("used")}
    assert api.http.post("/v1/jobs", json=TINY, headers=headers).status_code == 202
    answer = api.http.post(path, json=body, headers=headers)
    problem(answer, 422, "idempotency_key_reused")


def test_another_file_under_the_same_key_is_refused(api: Service) -> None:
    headers = {"Idempotency-Key": new_id("file"), "Content-Type": "text/csv"}
    table = "a,b\n1,2\n2,3\n3,5\n"
    path = "/v1/datasets?target=b"
    assert api.http.post(path, content=table, headers=headers).status_code == 201
    changed = api.http.post(path, content=table + "4,9\n", headers=headers)
    problem(changed, 422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb"])
def test_a_key_that_is_none_is_refused(key: str, api: Service) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    found = mistakes(api.http.post("/v1/jobs", json=TINY, headers=headers), "invalid_request")
    assert list(found) == ["/Idempotency-Key"]


def test_a_refusal_is_not_kept(api: Service) -> None:
    headers = {"Idempotency-Key": new_id("refused")}
    job_id = posted(api, TINY)
    bad = api.http.post("/v1/jobs", json={**TINY, "iterations": 0}, headers=headers)
    problem(bad, 422, "invalid_specification")
    problem(api.http.post(f"/v1/jobs/{job_id}/resume", headers=headers), 409, "state_conflict")
    assert api.http.post("/v1/jobs", json=TINY, headers=headers).status_code == 202


def test_a_key_belongs_to_its_tenant(api: Service, connect: Connect) -> None:
    headers = {"Idempotency-Key": new_id("ours")}
    ours = api.http.post("/v1/jobs", json=TINY, headers=headers)
    theirs = connect(api, new_key(api, tenant="another")).post(
        "/v1/jobs", json=TINY, headers=headers
    )
    assert theirs.status_code == 202
    assert theirs.json()["id"] != ours.json()["id"]
    assert "Idempotency-Replayed" not in theirs.headers


def test_after_a_day_a_key_is_new_again(api: Service) -> None:
    headers = {"Idempotency-Key": new_id("old")}
    first = api.http.post("/v1/jobs", json=TINY, headers=headers)
    with database_of(api) as database, database.session() as session:
        named = update(IdempotentAnswer).filter_by(key=headers["Idempotency-Key"])
        session.execute(named.values(created_at=db_now(-24 * 3600 - 1)))
    again = api.http.post("/v1/jobs", json={**TINY, "seed": 7}, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] != first.json()["id"]


def test_old_answers_are_swept_away(rows: Database, tenants: Tenants) -> None:
    with rows.session() as session:
        for key, age in (("new", 0.0), ("old", idempotency.KEPT_SECONDS + 1)):
            attempt = IdempotentRequest(key, hashlib.sha256().hexdigest())
            idempotency.begin(session, tenants[1], attempt)
            named = update(IdempotentAnswer).filter_by(key=key)
            session.execute(named.values(created_at=db_now(-age)))
        idempotency.sweep(session)
        assert session.scalars(select(IdempotentAnswer.key)).all() == ["new"]


def test_what_changes_nothing_takes_no_key(api: Service) -> None:
    """The header is not looked at, so it may be anything."""
    headers = {"Idempotency-Key": new_id("predict")}
    for _ in range(2):
        answer = api.http.post("/v1/jobs/job_any/predict", json={"inputs": [[1]]}, headers=headers)
        problem(answer, 404, "not_found")
