"""S2: no page of another origin speaks with the service, whatever name it bends to our address."""

from collections.abc import Callable

import httpx2
import pytest

from tests.app.talk import TINY, problem
from tests.security.by_hand import asked, head
from tests.service import Service

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PATHS = ("/v1/jobs", "/healthz", "/nowhere", "/openapi.json")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("192.0.2.1", "[2001:db8::1]", "0x7f.1", "2130706433", "10.0.0.1", "fallline", "a b", ""),
        *("127.0.0.1@evil.example", "evil.example#127.0.0.1", "127.0.0.1:80:80", "[::1"),
    ],
)
def test_a_host_that_is_not_ours_is_refused(host: str, api: Service) -> None:
    for path in PATHS:
        for method in METHODS:
            answer = api.http.request(method, path, headers={"Host": host})
            problem(answer, 400, "unknown_host")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:8000", "127.9.9.9"]
)
def test_loopback_has_many_names(host: str, api: Service) -> None:
    assert api.http.get("/v1/jobs", headers={"Host": host}).status_code == 200


def test_a_request_has_one_host(api: Service) -> None:
    good = head(api, "GET /healthz")
    without = b"\r\n".join(line for line in good.split(b"\r\n") if not line.startswith(b"Host"))
    twice = good.replace(b"\r\n", b"\r\nHost: localhost\r\n", 1)
    assert asked(api, good).status == 200
    for odd in (without, twice):
        assert asked(api, odd).status == 400


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://", ""),
        *("http://127.0.0.1.evil.example", "http://[", "http://]:1", "[", "://"),
    ],
)
def test_a_page_of_another_origin_is_refused(origin: str, api: Service) -> None:
    for path in PATHS:
        for method in METHODS:
            answer = api.http.request(method, path, headers={"Origin": origin})
            problem(answer, 403, "foreign_origin")
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_our_own_page_may_ask(api: Service) -> None:
    assert api.http.get("/v1/jobs", headers={"Origin": api.url}).status_code == 200


def test_other_names_and_origins_can_be_allowed(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(
        workers=0,
        allowed_hosts="train.example, *.inner.example",
        allowed_origins="https://board.example",
    )
    for host in ("train.example", "TRAIN.example:443", "a.inner.example", "127.0.0.1"):
        assert service.http.get("/healthz", headers={"Host": host}).status_code == 200
    for host in ("other.example", "inner.example", "xinner.example"):
        problem(service.http.get("/healthz", headers={"Host": host}), 400, "unknown_host")
    allowed = {"Origin": "https://board.example"}
    assert service.http.get("/v1/jobs", headers=allowed).status_code == 200
    foreign = {"Origin": "https://board.example.evil.example"}
    problem(service.http.get("/v1/jobs", headers=foreign), 403, "foreign_origin")


@pytest.mark.parametrize(
    "declared", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_what_a_form_of_another_page_could_send_is_not_taken(
    declared: str | None, api: Service
) -> None:
    """Without a question asked before, a page can only send these media types."""
    headers = {"Content-Type": declared} if declared else {}
    content = httpx2.Request("POST", api.url, json=TINY).read()
    answer = api.http.post("/v1/jobs", content=content, headers=headers)
    problem(answer, 415, "unsupported_media_type")
