"""Two tenants on every route: what another owns is not there."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.tables import Task
from tests.app.conftest import Connect, database_of, new_key
from tests.app.talk import TINY, job, problem, trained
from tests.servers import eventually
from tests.service import Service

PUBLIC = {
    *("GET /healthz", "GET /readyz", "GET /openapi.json"),
    *("GET /docs", "GET /docs/start.js", "GET /docs/{name}"),
}
NAMES_NOTHING = {"GET /v1/jobs", "POST /v1/jobs", "GET /v1/models"}
"""Nobody's thing can be named on these; what they show or make has tests of its own."""
ADMINISTERS = {
    *("POST /v1/keys", "GET /v1/keys", "DELETE /v1/keys/{key_id}"),
    *("POST /v1/tenants", "GET /v1/tenants", "GET /metrics"),
}
"""For whoever runs the service: these are about every tenant."""


@pytest.fixture(scope="session")
def theirs(service: Service) -> dict[str, str]:
    """Things that the tenant ``default`` owns, by the name of the path parameter."""
    document = trained(service, TINY, name="private-model")
    answer = service.http.get(f"/v1/jobs/{document['id']}/iterations/1")
    assert answer.status_code == 200
    with database_of(service) as database, database.session(write=False) as session:
        task = session.scalars(select(Task.id).where(Task.job_id == document["id"])).first()
    assert task
    return {"job_id": document["id"], "task_id": task, "name": "private-model"}


def nobodys(theirs: dict[str, str]) -> dict[str, str]:
    """Things of the same form that do not exist."""
    return {name: value[:-5] + "zzzzz" for name, value in theirs.items()}


def called(client: httpx2.Client, operation: str, things: dict[str, str]) -> httpx2.Response:
    method, path = operation.split(" ", 1)
    for name, value in {**things, "n": "1", "version": "1"}.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"{operation}: say what another tenant owns there"
    json = {"inputs": [[1.0]]} if method == "POST" else None
    params = {"weight": "0.weight[0,0]"} if path.endswith("/explain") else None
    headers = {"X-Request-Id": "same"}
    return client.request(method, path, json=json, params=params, headers=headers)


def without(things: dict[str, str], answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer, but for the words that the question brought."""
    content = answer.content
    for value in things.values():
        content = content.replace(value.encode(), b"-" * len(value))
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers, content


def test_what_another_tenant_owns_answers_to_the_byte_as_what_does_not_exist(
    operations: frozenset[str], theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other, invented = tenant(service), nobodys(theirs)
    named = operations - PUBLIC - NAMES_NOTHING - ADMINISTERS
    assert len(named) >= 10
    before = job(service, theirs["job_id"])
    for operation in sorted(named):
        answer = called(other, operation, theirs)
        problem(answer, 404, "not_found")
        unknown = called(other, operation, invented)
        assert without(theirs, answer) == without(invented, unknown), operation
        if not operation.startswith("DELETE"):
            assert called(service.http, operation, theirs).status_code in {200, 202, 409}, operation
    assert job(service, theirs["job_id"]) == before


def test_a_list_shows_ones_own_jobs_only(api: Service, connect: Connect) -> None:
    clients = [connect(api, new_key(api, tenant=f"lists-{n}")) for n in range(2)]
    ids: list[list[str]] = [[], []]
    for n in (0, 1, 1, 0, 1):
        ids[n].append(clients[n].post("/v1/jobs", json=TINY).json()["id"])
    for n, client in enumerate(clients):
        seen = [document["id"] for document in client.get("/v1/jobs").json()["data"]]
        assert seen == ids[n][::-1]
        # Another's id is a place in the list, no more.
        after = client.get("/v1/jobs", params={"after": ids[1 - n][-1]}).json()["data"]
        assert {document["id"] for document in after} <= set(ids[n])


def test_two_keys_of_one_tenant_see_the_same(api: Service, connect: Connect) -> None:
    one, two = (connect(api, new_key(api, tenant="shared")) for _ in range(2))
    job_id = one.post("/v1/jobs", json=TINY).json()["id"]
    assert two.get(f"/v1/jobs/{job_id}").json() == one.get(f"/v1/jobs/{job_id}").json()


def test_the_place_in_the_queue_counts_ones_own_jobs(api: Service, tenant: Connect) -> None:
    http = tenant(api)
    places = [http.post("/v1/jobs", json=TINY).json()["queue"]["position"] for _ in range(3)]
    assert places == [1, 2, 3]


def test_models_of_the_same_name_do_not_collide(
    theirs: dict[str, str], service: Service, tenant: Connect
) -> None:
    other = tenant(service)
    specification: dict[str, Any] = {**TINY, "name": "private-model", "iterations": 1}
    job_id = other.post("/v1/jobs", json=specification).json()["id"]
    eventually(lambda: other.get(f"/v1/jobs/{job_id}").json()["finished_at"], "it ends", 30)
    asked = {"inputs": [[1.0]]}
    mine = other.post("/v1/models/private-model/predict", json=asked).json()
    yours = service.http.post("/v1/models/private-model/predict", json=asked).json()
    assert (mine["version"], yours["version"]) == (1, 1)
    assert mine["predictions"][0]["value"] == pytest.approx([2.4])
    assert yours["predictions"][0]["value"] == pytest.approx([4 - 2 * 0.8**3])


def test_a_tenants_jobs_run_and_are_theirs_to_the_end(service: Service, tenant: Connect) -> None:
    other = tenant(service)
    document = other.post("/v1/jobs", json=TINY).json()
    place = f"/v1/jobs/{document['id']}"
    eventually(lambda: other.get(place).json()["finished_at"], "it ends", 30)
    assert other.get(place).json()["state"] == "succeeded"
    assert len(other.get(f"{place}/metrics").json()["series"]["loss"]["value"]) == 3
    assert other.get(f"{place}/iterations/2").json()["exact"] is True
    for path in ("", "/metrics", "/iterations/2"):
        problem(service.http.get(place + path), 404, "not_found")
    assert other.delete(place).status_code == 204
