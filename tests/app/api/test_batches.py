"""Many jobs at once, and finding some of them again."""

from typing import Any

import pytest

from tests.app.conftest import Connect
from tests.app.talk import TINY, Document, mistakes, posted, problem
from tests.service import Service

BASE: dict[str, Any] = {k: v for k, v in TINY.items() if k != "optimizer"}


def test_a_batch_is_queued_in_its_order_in_one_go(tenant: Connect, api: Service) -> None:
    client = tenant(api)
    jobs = [{**TINY, "name": f"job-{i}", "priority": i % 2} for i in range(30)]
    answer = client.post("/v1/jobs/batch", json={"jobs": jobs})
    assert answer.status_code == 202, answer.text
    data = answer.json()["data"]
    assert [job["name"] for job in data] == [job["name"] for job in jobs]
    assert [job["id"] for job in data] == sorted(job["id"] for job in data)
    listed = client.get("/v1/jobs?limit=100").json()["data"]
    assert [job["id"] for job in listed] == [job["id"] for job in reversed(data)]
    assert {job["id"]: job for job in listed} == {job["id"]: job for job in data}


def test_changes_are_merged_into_the_base(tenant: Connect, api: Service) -> None:
    changes = [{"optimizer": {"lr": 0.5}}, {"optimizer": {"type": "adam"}, "epochs": 2}, {}]
    body = {"base": {**BASE, "optimizer": "sgd"}, "changes": changes}
    answer = tenant(api).post("/v1/jobs/batch", json=body)
    assert answer.status_code == 202, answer.text
    specs = [job["spec"] for job in answer.json()["data"]]
    assert [spec["optimizer"]["type"] for spec in specs] == ["sgd", "adam", "sgd"]
    assert [spec["optimizer"]["lr"] for spec in specs] == [0.5, 0.001, 0.001]
    assert [(spec["iterations"], spec["epochs"]) for spec in specs] == [
        (3, None),
        (None, 2),
        (3, None),
    ]


def test_one_mistake_keeps_all_of_a_batch_out(tenant: Connect, api: Service) -> None:
    client = tenant(api)
    bad = {**TINY, "optimizer": {"type": "sgd", "lr": -1}}
    answer = client.post("/v1/jobs/batch", json={"jobs": [TINY, bad, 5, TINY]})
    found = mistakes(answer)
    assert found["/jobs/1/optimizer/lr"][0] == "out_of_range"
    assert found["/jobs/2"][0] == "wrong_type"
    assert {at.split("/")[2] for at in found} == {"1", "2"}
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_mistake_of_the_base_is_told_once_and_one_of_a_change_where_it_is(
    api: Service,
) -> None:
    base = {**BASE, "batch_size": 0, "optimizer": {"type": "sgd", "momentum": -1}}
    changes = [{"optimizer": {"lr": 0}}, {"seed": 1}, {"los": 1}, {"loss": {"type": "mse"}}]
    found = mistakes(api.http.post("/v1/jobs/batch", json={"base": base, "changes": changes}))
    assert {at: code for at, (code, _) in found.items()} == {
        "/base/batch_size": "out_of_range",
        "/base/optimizer/momentum": "out_of_range",
        "/changes/0/optimizer/lr": "out_of_range",
        "/changes/2/los": "unknown_field",
        "/changes/3/loss/type": "unknown_name",
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"": "conflict"}),
        ({"jobs": [TINY], "base": TINY}, {"": "conflict"}),
        ({"base": TINY}, {"": "conflict"}),
        ({"jobs": []}, {"/jobs": "out_of_range"}),
        ({"jobs": [1] * 1001}, {"/jobs": "out_of_range"}),
        ({"base": [], "changes": [3]}, {"/base": "wrong_type", "/changes/0": "wrong_type"}),
        ({"job": [TINY]}, {"/job": "unknown_field"}),
    ],
)
def test_what_is_no_batch_is_refused(
    body: dict[str, Any], expected: dict[str, str], api: Service
) -> None:
    found = mistakes(api.http.post("/v1/jobs/batch", json=body), "invalid_batch")
    assert {at: code for at, (code, _) in found.items()} == expected


# -- filters


def names(client: Any, query: str) -> list[str]:
    answer = client.get(f"/v1/jobs?{query}")
    assert answer.status_code == 200, answer.text
    data: list[Document] = answer.json()["data"]
    return [job["name"] for job in data]


def test_a_list_is_filtered_by_state_name_and_metadata(tenant: Connect, api: Service) -> None:
    client = tenant(api)
    labels = [{"team": "a"}, {"team": "b", "x": "1"}, {"team": "a", "x": "1"}]
    jobs = [{**TINY, "name": f"n{i}", "metadata": m} for i, m in enumerate(labels)]
    jobs.insert(0, {**TINY, "name": "n10", "metadata": {"team": "ab", "xx": "1"}})
    _, first, *_ = client.post("/v1/jobs/batch", json={"jobs": jobs}).json()["data"]
    client.post(f"/v1/jobs/{first['id']}/cancel")
    assert names(client, "state=queued") == ["n2", "n1", "n10"]
    assert names(client, "state=cancelled,running") == ["n0"]
    assert names(client, "state=cancelling") == []
    assert names(client, "name=n1") == ["n1"]
    assert names(client, "metadata.team=a") == ["n2", "n0"]
    assert names(client, "metadata.team=a&metadata.x=1&state=queued") == ["n2"]
    assert names(client, "metadata.x=1&metadata.team=a") == ["n2"]
    assert names(client, "metadata.x=1&name=n1") == ["n1"]
    assert names(client, "metadata.team=c") == []
    assert names(client, "metadata.none=a") == []
    page = client.get("/v1/jobs?metadata.team=a&limit=1").json()
    assert page["has_more"]
    assert names(client, f"metadata.team=a&after={page['next']}") == ["n0"]


@pytest.mark.parametrize(
    "key", ['a"b', "a'b", "a.b", "$", "'; --", '") OR 1=1 --', "ключ", "%25", "0", "\\"]
)
def test_a_key_of_metadata_may_be_any_text(key: str, tenant: Connect, api: Service) -> None:
    client = tenant(api)
    mine = {**TINY, "name": "mine", "metadata": {key: "v"}}
    client.post("/v1/jobs/batch", json={"jobs": [TINY, mine]})
    answer = client.get("/v1/jobs", params={f"metadata.{key}": "v"})
    assert [job["name"] for job in answer.json()["data"]] == ["mine"]
    assert client.get("/v1/jobs", params={f"metadata.{key}": "w"}).json()["data"] == []


def test_an_unknown_state_or_parameter_is_refused(api: Service) -> None:
    posted(api, TINY)
    answer = api.http.get("/v1/jobs?state=queued,runing&nam=x&metadata.=1")
    found = problem(answer, 422, "invalid_request")["errors"]
    assert {mistake["pointer"]: mistake["code"] for mistake in found} == {
        "/state": "unknown_name",
        "/nam": "unknown_field",
        "/metadata.": "unknown_field",
    }
    assert "`running`" in str(found)
    assert "`name`" in str(found)
