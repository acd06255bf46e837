"""What is not JSON, not declared as JSON, too large, too deep or cannot be kept: a 4xx problem."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.app.conftest import logged
from tests.app.talk import TINY, mistakes, problem
from tests.service import Service

JSON = {"Content-Type": "application/json"}
POSTS = ["/v1/jobs", "/v1/jobs/job_any/predict", "/v1/models/any/versions/1/predict"]
LARGE = 10_000_001


def sent(service: Service, path: str, content: Any, **headers: str) -> httpx2.Response:
    return service.http.post(path, content=content, headers={**JSON, **headers})


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", " at character 0"),
        (b"{nope", " at character 1"),
        (b'{"a": 1,}', ""),
        (b'{"a": "\xff"}', ""),
        ('{"a": 1}'.encode("utf-16"), ""),
        (b"\xef\xbb\xbf{}", ""),
        (b"[" * 100_000, ""),
        (b"[" * 100_000 + b"]" * 100_000, ""),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ""),
        (b'{"iterations": ' + b"9" * 1_000_000 + b"}", ""),
    ],
    ids=["empty", "torn", "comma", "latin1", "utf16", "bom", "open", "lists", "objects", "digits"],
)
def test_a_body_that_is_not_json_is_refused(
    path: str, body: bytes, place: str, api: Service
) -> None:
    ((where, (code, sentence)),) = mistakes(sent(api, path, body), "invalid_json").items()
    assert (where, code) == ("", "invalid_json")
    assert sentence.startswith(f"cannot be read as JSON{place}")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", ["null", "[]", '"x"', "3", "true", "NaN"])
def test_json_that_is_no_object_is_refused(path: str, body: str, api: Service) -> None:
    code = "invalid_specification" if path == "/v1/jobs" else "invalid_request"
    assert mistakes(sent(api, path, body), code) == {"": ["wrong_type", "must be an object"]}


@pytest.mark.parametrize("depth", [50, 500, 900, 950, 970])
@pytest.mark.parametrize("field", ["dataset", "model", "metadata", "optimizer"])
def test_json_that_is_deep_but_not_too_deep_is_refused_too(
    field: str, depth: int, api: Service
) -> None:
    wrapped: Any = {"x": "@", "y": [1]} if field == "dataset" else "@"
    nested = "[" * depth + "1" + "]" * depth
    body = json.dumps({**TINY, field: wrapped}).replace('"@"', nested)
    answer = sent(api, "/v1/jobs", body)
    assert answer.json()["code"] in {"invalid_specification", "invalid_json"}
    problem(answer, 422, answer.json()["code"])


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("declared", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_declared_as_json_is_refused(
    path: str, declared: str, api: Service
) -> None:
    answer = api.http.post(path, content=json.dumps(TINY), headers={"Content-Type": declared})
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "declared", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
def test_json_may_be_declared_in_any_case_and_with_a_charset(declared: str, api: Service) -> None:
    answer = api.http.post("/v1/jobs", content=json.dumps(TINY), headers={"Content-Type": declared})
    assert answer.status_code == 202


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("length", ["declared", "chunked"])
def test_a_body_over_the_limit_is_refused(path: str, length: str, api: Service) -> None:
    def chunks() -> Iterator[bytes]:
        for begin in range(0, LARGE, 100_000):
            yield b" " * min(100_000, LARGE - begin)

    answer = sent(api, path, chunks() if length == "chunked" else b" " * LARGE)
    detail = problem(answer, 413, "too_large")["detail"]
    assert detail == "the body is larger than 10000000 bytes"


def test_a_body_at_the_limit_is_read(api: Service) -> None:
    body = json.dumps(TINY).encode()
    assert sent(api, "/v1/jobs", body + b" " * (LARGE - 1 - len(body))).status_code == 202


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udfff", "\\uD83D"])
@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("metadata", '{"a": "x@"}', "/metadata/a"),
        ("metadata", '{"a/@": "x"}', "/metadata"),
        ("name", '"x@"', "/name"),
        ("dataset", '{"x": [[1], [2]], "y": ["a", "@"]}', "/dataset/y/1"),
        ("model", '["re@lu"]', "/model/0"),
    ],
)
def test_characters_that_cannot_be_kept_are_pointed_at(
    field: str, value: str, pointer: str, escape: str, api: Service
) -> None:
    body = json.dumps({**TINY, field: "%"}).replace('"%"', value.replace("@", escape))
    ((where, (code, _)),) = mistakes(sent(api, "/v1/jobs", body), "invalid_request").items()
    assert (where, code) == (pointer, "unsupported_character")


def test_a_name_that_cannot_be_kept_is_never_echoed(api: Service) -> None:
    body = json.dumps({**TINY, "\ud800": {"\0": 1}})
    assert list(mistakes(sent(api, "/v1/jobs", body), "invalid_request")) == [""]


def test_escaped_characters_of_every_plane_are_kept(api: Service) -> None:
    labels = {"⛷": "𝄞 \x01 \x7f \u2028 \uffff"}
    answer = sent(api, "/v1/jobs", json.dumps({**TINY, "metadata": labels}))
    assert answer.json()["metadata"] == labels


def test_a_client_that_hangs_up_is_no_error_of_ours(api: Service) -> None:
    url = httpx2.URL(api.url)
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {api.key}\r\n"
        "X-Request-Id: hung-up\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode())
    line = json.loads(logged(api, "app", "hung-up", '"event":"request"'))
    assert (line["status"], line["level"]) == (499, "info")
