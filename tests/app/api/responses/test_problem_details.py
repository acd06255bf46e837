"""Refusals and failures: one form, one request id, and nothing that only we should know."""

import re

import pytest
from sqlalchemy import update

from app.tables import Job
from tests.app.conftest import database_of, logged
from tests.app.talk import TINY, mistakes, posted, problem
from tests.service import Service

REQUEST_ID = re.compile(r"req_[0-9a-hjkmnp-tv-z]{26}")


@pytest.mark.parametrize(
    "path",
    ["/", "/nope", "/v1", "/v1/jobs/", "//v1/jobs", "/v1/jobs/a/b", "/docs/x/y"],
)
def test_where_there_is_nothing_the_answer_is_a_problem(path: str, api: Service) -> None:
    answer = api.http.get(path)
    assert problem(answer, 404, "not_found")["detail"] == "there is nothing at this path"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_method_that_is_not_taken_is_a_problem(method: str, api: Service) -> None:
    answer = api.http.request(method, "/v1/jobs")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs/%00", 404),
        ("/v1/jobs/job_%00/metrics", 404),
        ("/v1/tasks/%00", 404),
        ("/v1/jobs?after=%00", 422),
        ("/v1/jobs?metadata.%00=x", 422),
        ("/v1/jobs/job_x/metrics?series=%00", 422),
        ("/v1/jobs/job_x/iterations/1?parameters=%00", 422),
        ("/v1/jobs/%ff%fe", 404),
        ("/v1/jobs/%ED%A0%80", 404),
        ("/v1/jobs/%F0%9F%A6%84", 404),
        (f"/v1/jobs/{'x' * 30_000}", 404),
        (f"/v1/tasks/{'x' * 30_000}", 404),
        ("/v1/jobs/%27%3B--", 404),
        ("/v1/jobs/..%2f..%2fkey", 404),
        ("/v1/jobs/%2e%2e", 404),
        (f"/v1/jobs/job_x/iterations/{'9' * 400}", 422),
    ],
)
def test_a_strange_path_or_query_is_refused(path: str, status: int, api: Service) -> None:
    answer = api.http.get(path)
    code = {404: "not_found", 422: "invalid_request"}[status]
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == code
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("after", ["%ff", "%ED%A0%80", "zzz", "", "x" * 30_000, "%27%20OR%201=1"])
def test_a_strange_cursor_is_a_place_in_the_list_like_any_other(after: str, api: Service) -> None:
    assert api.http.get(f"/v1/jobs?after={after}&limit=1").status_code == 200


def test_nul_in_a_query_is_pointed_at(api: Service) -> None:
    assert mistakes(api.http.get("/v1/jobs?limit=3&after=%00"), "invalid_request") == {
        "/after": ["unsupported_character", "must not hold NUL (query parameter)"]
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/v1/jobs", 200),
        ("POST", "/v1/jobs", 415),
        ("GET", "/v1/jobs/job_x", 404),
        ("GET", "/nope", 404),
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/jobs?limit=0", 422),
    ],
)
@pytest.mark.parametrize("own", ["", "client-1.2_3", "x" * 64])
def test_every_answer_has_a_request_id_and_a_decent_one_of_the_client_is_kept(
    own: str, method: str, path: str, status: int, api: Service
) -> None:
    answer = api.http.request(method, path, headers={"X-Request-Id": own} if own else {})
    assert answer.status_code == status
    (given,) = answer.headers.get_list("X-Request-Id")
    assert given == own or (not own and REQUEST_ID.fullmatch(given))
    if status >= 400:
        assert answer.json()["request_id"] == given


@pytest.mark.parametrize("own", ["x" * 65, "a b", "a/b", '{"a":1}', "ünal", "a\tb"])
def test_a_request_id_that_is_not_decent_is_replaced(own: str, api: Service) -> None:
    answer = api.http.get("/healthz", headers=[(b"X-Request-Id", own.encode())])
    assert REQUEST_ID.fullmatch(answer.headers["X-Request-Id"])


def test_a_mistake_of_ours_says_only_where_to_look(api: Service) -> None:
    job_id = posted(api, TINY)
    with database_of(api) as database, database.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(spec="no specification"))
    headers = {"X-Request-Id": "mistake-of-ours"}
    answers = [api.http.get(f"/v1/jobs/{job_id}", headers=headers) for _ in range(2)]
    for answer in answers:  # the second on the same connection
        document = problem(answer, 500, "internal")
        assert document["request_id"] == "mistake-of-ours"
        assert document["detail"].endswith("the request id leads to the cause")
    assert "Traceback" in logged(api, "app", "unexpected error", "mistake-of-ours")
    assert '"status":500' in logged(api, "app", '"event":"request"', "mistake-of-ours")
    with database_of(api) as database, database.session() as session:
        session.delete(session.get_one(Job, job_id))
