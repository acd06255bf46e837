"""What a client has is not sent again."""

import hashlib

import pytest
from starlette.datastructures import Headers

from app.api.requests.preconditions import etag, must_match
from app.errors import PreconditionFailed
from tests.app.talk import TINY, Document, finished, posted, problem
from tests.service import Service

HEAD = {"content-type", "content-length"}


def test_every_single_thing_has_a_strong_validator_and_a_client_that_has_it_gets_304(
    service: Service, digits: Document
) -> None:
    job = f"/v1/jobs/{digits['id']}"
    for path in (job, f"{job}/metrics", f"{job}/iterations/3", f"{job}/examples", "/v1/jobs"):
        answer = service.http.get(path)
        assert answer.status_code == 200, (path, answer.text)
        tag = answer.headers["ETag"]
        assert tag == f'"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
        again = service.http.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["ETag"] == tag
        assert again.headers["X-Request-Id"]
        assert not HEAD & set(again.headers) - {"content-length"}


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ('"a,b" , W/"c",{tag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("{bare}", 200),
        ("", 200),
        ('"', 200),
    ],
)
def test_validators_are_compared_weakly(
    seen: str, status: int, service: Service, digits: Document
) -> None:
    path = f"/v1/jobs/{digits['id']}"
    tag = service.http.get(path).headers["ETag"]
    header = {"If-None-Match": seen.format(tag=tag, bare=tag.strip('"'))}
    assert service.http.get(path, headers=header).status_code == status


def test_a_thing_that_changed_is_sent_again(api: Service) -> None:
    job_id = posted(api, TINY)
    first = api.http.get(f"/v1/jobs/{job_id}")
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    again = api.http.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")
    assert again.headers["ETag"] != first.headers["ETag"]


def test_a_refusal_and_a_stream_have_no_validator(service: Service, digits: Document) -> None:
    refused = service.http.get("/v1/jobs/job_x", headers={"If-None-Match": "*"})
    assert (refused.status_code, "ETag" in refused.headers) == (404, False)
    path = f"/v1/jobs/{digits['id']}/metrics"
    streamed = service.http.get(path, headers={"Accept": "text/csv", "If-None-Match": "*"})
    assert (streamed.status_code, "ETag" in streamed.headers) == (200, False)


def test_a_post_is_not_conditional(service: Service) -> None:
    answer = service.http.post("/v1/jobs", json=TINY, headers={"If-None-Match": "*"})
    assert (answer.status_code, "ETag" in answer.headers) == (202, False)
    finished(service, answer.json()["id"])


@pytest.mark.parametrize("header", ["*", '"a", {tag}', "{tag}"])
def test_what_is_as_it_was_seen_may_be_changed(header: str) -> None:
    must_match(Headers({"If-Match": header.format(tag=etag(b"content"))}), b"content")
    must_match(Headers({}), b"content")


@pytest.mark.parametrize("header", ['"a"', "W/{tag}", "", "{bare}"])
def test_what_is_not_as_it_was_seen_may_not(header: str) -> None:
    tag = etag(b"content")
    with pytest.raises(PreconditionFailed):
        must_match(Headers({"If-Match": header.format(tag=tag, bare=tag.strip('"'))}), b"content")


def test_a_job_is_changed_only_if_it_is_what_the_client_has_seen(api: Service) -> None:
    path = f"/v1/jobs/{posted(api, TINY)}"
    seen = api.http.get(path).headers["ETag"]
    changed = api.http.patch(path, json=labelled("a"), headers={"If-Match": seen})
    assert (changed.status_code, changed.json()["metadata"]) == (200, {"n": "a"})
    refused = api.http.patch(path, json=labelled("b"), headers={"If-Match": seen})
    problem(refused, 412, "precondition_failed")
    now = api.http.get(path)
    assert now.json() == changed.json()
    for header in (f'"other", {now.headers["ETag"]}', "*"):
        again = api.http.patch(path, json=labelled("c"), headers={"If-Match": header})
        assert again.status_code == 200
    refused = api.http.patch("/v1/jobs/x", json=labelled("d"), headers={"If-Match": "*"})
    problem(refused, 404, "not_found")


def test_another_place_in_the_queue_is_another_job_to_see(api: Service) -> None:
    path = f"/v1/jobs/{posted(api, TINY)}"
    seen = api.http.get(path).headers["ETag"]
    changed = api.http.patch(path, json={"priority": -7}, headers={"If-Match": seen})
    assert (changed.status_code, changed.json()["priority"]) == (200, -7)
    refused = api.http.patch(path, json={"priority": 3}, headers={"If-Match": seen})
    problem(refused, 412, "precondition_failed")


def labelled(text: str) -> Document:
    return {"metadata": {"n": text}}
