"""Two tenants beside one another. (What another owns is not there: ``tests/security``.)"""

from typing import Any

import pytest

from tests.app.conftest import Connect, new_key
from tests.app.talk import TINY, problem
from tests.servers import eventually
from tests.service import Service


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
