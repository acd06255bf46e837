"""S5: what another tenant owns answers, to the byte, as what does not exist; on every route, and
wherever else something can be named."""

from typing import Any

import httpx2
import pytest

from tests.app.api.test_authentication import PUBLIC
from tests.app.conftest import Connect
from tests.app.talk import TINY, Document, job, problem
from tests.service import Service

NAMES_NOTHING = {
    *("GET /v1/jobs", "POST /v1/jobs", "POST /v1/jobs/batch", "POST /v1/jobs/validate"),
    *("GET /v1/models", "GET /v1/datasets", "POST /v1/datasets"),
    *("GET /v1/catalog", "GET /v1/catalog/schema"),
}
"""Nobody's thing can be named in these paths; what they show or make has tests of its own."""
ADMINISTERS = {
    *("POST /v1/keys", "GET /v1/keys", "DELETE /v1/keys/{key_id}"),
    *("POST /v1/tenants", "GET /v1/tenants", "GET /metrics"),
}
"""For whoever runs the service: these are about every tenant."""
BODIES: dict[str, Document] = {
    "POST /v1/jobs/{job_id}/fork": {"iteration": 1},
    "PATCH /v1/jobs/{job_id}": {"metadata": {}},
}
PREDICTION = {"inputs": [[1.0]]}
QUERIES = {"GET /v1/jobs/{job_id}/iterations/{n}/explain": {"weight": "0.weight[0,0]"}}
ARROW = "application/vnd.apache.arrow.stream"
OTHER_WAYS: tuple[tuple[str, dict[str, str]], ...] = (
    ("GET /v1/jobs/{job_id}/events", {"Accept": "text/event-stream"}),
    ("GET /v1/jobs/{job_id}/events?last_event_id=1", {"Accept": "text/event-stream"}),
    ("GET /v1/jobs/{job_id}/metrics", {"Accept": "text/csv"}),
    ("GET /v1/jobs/{job_id}/metrics", {"Accept": ARROW}),
    ("GET /v1/jobs/{job_id}/metrics?points=10&smooth=0.5", {}),
    ("GET /v1/jobs/{job_id}?wait=1&after=1", {}),
    ("GET /v1/jobs/{job_id}", {"If-None-Match": "*"}),
    ("PATCH /v1/jobs/{job_id}", {"If-Match": "*"}),
    ("POST /v1/jobs/{job_id}/cancel", {"Idempotency-Key": "once"}),
    ("POST /v1/jobs/{job_id}/retry", {"Idempotency-Key": "twice"}),
)
"""Code of its own answers these, on routes that are asked above without."""


def nobodys(theirs: dict[str, str]) -> dict[str, str]:
    """Things of the same form that do not exist."""
    return {name: value[:-5] + "zzzzz" for name, value in theirs.items()}


def called(
    client: httpx2.Client, operation: str, things: dict[str, str], **more: str
) -> httpx2.Response:
    method, path = operation.split(" ", 1)
    for name, value in {**things, "n": "1", "version": "1"}.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"{operation}: say what another tenant owns there"
    body = BODIES.get(operation, PREDICTION) if method in {"POST", "PATCH"} else None
    query, headers = QUERIES.get(operation), {"X-Request-Id": "same", **more}
    return client.request(method, path, json=body, params=query, headers=headers)


def without(things: dict[str, str], answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer, but for the words that the question brought."""
    content = answer.content
    for value in things.values():
        content = content.replace(value.encode(), b"-" * len(value))
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers, content


def test_what_another_owns_is_as_unknown_as_what_does_not_exist(
    operations: frozenset[str], theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other, invented = tenant(service), nobodys(theirs)
    named = operations - PUBLIC - NAMES_NOTHING - ADMINISTERS
    assert len(named) >= 20
    before = job(service, theirs["job_id"])
    for operation in sorted(named):
        answer = called(other, operation, theirs)
        problem(answer, 404, "not_found")
        unknown = called(other, operation, invented)
        assert without(theirs, answer) == without(invented, unknown), operation
    assert job(service, theirs["job_id"]) == before
    for operation in sorted(o for o in named if not o.startswith("DELETE")):
        answer = called(service.http, operation, theirs)
        assert answer.status_code in {200, 202, 409, 422}, operation  # to its owner it is there


@pytest.mark.parametrize(("operation", "headers"), OTHER_WAYS)
def test_it_is_as_unknown_however_it_is_asked_for(
    operation: str,
    headers: dict[str, str],
    theirs: dict[str, str],
    service: Service,
    tenant: Connect,
) -> None:
    other, invented = tenant(service), nobodys(theirs)
    answer = called(other, operation, theirs, **headers)
    problem(answer, 404, "not_found")
    assert without(theirs, answer) == without(
        invented, called(other, operation, invented, **headers)
    )


def specifications(things: dict[str, str]) -> list[tuple[str, Any]]:
    """Where an id can stand in a body."""
    trained_on = {**TINY, "dataset": things["dataset_id"]}
    return [
        ("/v1/jobs", trained_on),
        ("/v1/jobs/batch", {"jobs": [TINY, trained_on]}),
        ("/v1/jobs/batch", {"base": trained_on, "changes": [{}, {"seed": 1}]}),
        ("/v1/jobs/batch", {"base": TINY, "changes": [{"dataset": things["dataset_id"]}]}),
        ("/v1/jobs", {**TINY, "dataset": things["job_id"]}),
        ("/v1/jobs/validate", trained_on),
    ]


@pytest.mark.parametrize("which", range(6))
def test_an_id_inside_a_specification_opens_nothing(
    which: int, theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other, invented, same = tenant(service), nobodys(theirs), {"X-Request-Id": "same"}
    answers = []
    for things in (theirs, invented):
        path, body = specifications(things)[which]
        answers.append(other.post(path, json=body, headers=same))
    problem(answers[0], 422, answers[0].json()["code"])
    assert without(theirs, answers[0]) == without(invented, answers[1])
    assert other.get("/v1/jobs").json()["data"] == []


def test_an_id_in_a_fork_of_ones_own_opens_nothing(
    theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other = tenant(service)
    mine = other.post("/v1/jobs", json=TINY).json()["id"]
    answers = []
    for things in (theirs, nobodys(theirs)):
        body = {"iteration": 0, "changes": {"dataset": things["dataset_id"]}}
        headers = {"X-Request-Id": "same"}
        answers.append(other.post(f"/v1/jobs/{mine}/fork", json=body, headers=headers))
    assert answers[0].status_code in {409, 422}
    assert without(theirs, answers[0]) == without(nobodys(theirs), answers[1])


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/v1/datasets"])
def test_another_tenants_id_is_a_place_in_a_list_and_no_more(
    path: str, theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other = tenant(service)
    for cursor in theirs.values():
        page = other.get(path, params={"after": cursor, "limit": 100}).json()
        assert page == {"data": [], "has_more": False, "next": None}


def test_a_key_of_another_tenant_sees_no_answer_that_was_kept(
    service: Service, tenant: Connect
) -> None:
    headers = {"Idempotency-Key": "the same for both"}
    clients = (service.http, tenant(service))
    first, again = (
        [client.post("/v1/jobs", json=TINY, headers=headers) for client in clients]
        for _ in range(2)
    )
    assert {answer.status_code for answer in (*first, *again)} == {202}
    mine, other = (answer.json()["id"] for answer in first)
    assert mine != other
    assert [answer.json()["id"] for answer in again] == [mine, other]
