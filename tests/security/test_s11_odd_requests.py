"""S11: odd requests are refused soon, in little memory, and hold nobody else up."""

import json
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

from tests.app.talk import TINY, mistakes
from tests.security.by_hand import SOON, Answer, Watched, asked, at_once, head
from tests.service import Service

MOST_GROWTH = 300 << 20
"""Bytes of memory that a request of 10 MB may cost for a moment, and four of them at once."""
LARGE = 9_900_000


def many(unit: str, open_: str = "[", close: str = "0]") -> bytes:
    """A large document of equal parts."""
    return (open_ + unit * ((LARGE - 100) // len(unit)) + close).encode()


DOCUMENTS = {
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep to the brim": b"[" * LARGE,
    "deep in a specification": json.dumps(TINY)[:-1].encode() + b',"model":' + b"[" * 100_000,
    "a long number": b'{"iterations": ' + b"9" * 1_000_000 + b"}",
    "a long negative number": b'{"iterations": -' + b"9" * 1_000_000 + b"}",
    "a long fraction": b'{"iterations": 0.' + b"9" * 1_000_000 + b"}",
    "a huge exponent": b'{"iterations": 1e' + b"9" * 100_000 + b"}",
    "a tiny exponent": b'{"seed": 1e-' + b"9" * 100_000 + b"}",
    "many lists": many("[],"),
    "many objects": many("{},"),
    "many numbers": many("1,"),
    "many long numbers": many("9" * 4299 + ","),
    "many fractions": many("1e300,"),
    "many strings": many('"",'),
    "many names": many('"a":1,', "{", '"b":1}'),
    "one long string": b'{"name": "' + b"x" * LARGE + b'"}',
    "one long name": b'{"' + b"x" * LARGE + b'": 1}',
    "many escapes": many(r"\u0000", '{"name": "', '"}'),
    "half characters": rb'{"name": "\ud800", "\udfff": ["\udc00"]}',
    "names twice": b'{"seed": 1, "model": [{"type": "relu", "type": "tanh"}], "seed": 2}',
    "no UTF-8": b'{"name": "\xc3\x28"}',
    "nothing": b"",
    "blanks": b" " * LARGE,
}


def posted(service: Service, path: str, body: bytes) -> Answer:
    size = {"Content_Length": str(len(body)), "Content_Type": "application/json"}
    return asked(service, head(service, f"POST {path}", **size), body)


def decent(answer: Answer, *statuses: int) -> dict[str, object]:
    """What every refusal is: soon, a problem, not longer than anybody reads."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 100_000
    assert answer.seconds < SOON
    document: dict[str, object] = json.loads(answer.body)
    return document


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/job_any/predict", "/v1/keys"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_odd_document_is_refused(name: str, path: str, api: Service) -> None:
    with Watched(api) as watched:
        answer = posted(api, path, DOCUMENTS[name])
    statuses = (404, 422) if path.endswith("predict") else (422,)
    decent(answer, *statuses)
    watched.report()
    assert watched.grown < MOST_GROWTH


def test_odd_documents_at_once_hold_nobody_up(api: Service) -> None:
    worst = ("many numbers", "many fractions", "many strings", "many long numbers")
    calls: list[Callable[[], Answer]] = [
        lambda body=DOCUMENTS[name]: posted(api, "/v1/keys", body)  # type: ignore[misc]
        for name in worst
    ]
    with Watched(api) as watched, at_once(calls) as answers:
        pass
    assert [answer.status for answer in answers] == [422] * len(worst)
    watched.report()
    assert watched.grown < MOST_GROWTH


def test_what_was_odd_is_told_and_where(api: Service) -> None:
    def told(name: str) -> dict[str, list[str]]:
        headers = {"Content-Type": "application/json"}
        answer = api.http.post("/v1/jobs", content=DOCUMENTS[name], headers=headers)
        return mistakes(answer, answer.json()["code"])

    assert told("deep objects") == {
        "": [
            "invalid_json",
            "cannot be read as JSON at character 4500: lists and objects are nested too deeply",
        ]
    }
    assert told("a long number") == {
        "": [
            "invalid_json",
            "cannot be read as JSON at character 15: a whole number has more than 4300 digits",
        ]
    }
    assert told("many lists")[""] == ["limit_exceeded", "holds more than 250000 lists and objects"]
    assert told("names twice") == {
        "/seed": ["duplicate_name", "`seed` is given more than once"],
        "/model/0/type": ["duplicate_name", "`type` is given more than once"],
    }
    assert set(told("half characters")) == {"/name", ""}
    assert told("no UTF-8")[""][1] == "cannot be read as JSON: it is not UTF-8 at byte 10"
    assert told("a huge exponent")["/iterations"][0] in {"wrong_type", "not_finite"}


# -- slow ones


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/keys", "/v1/jobs/job_any/predict"])
@pytest.mark.parametrize("sent", [b"{", b""], ids=["a byte a second", "nothing"])
def test_a_body_that_hardly_comes_is_not_waited_for(sent: bytes, path: str, api: Service) -> None:
    declared = {"Content_Length": "1000", "Content_Type": "application/json"}
    start = head(api, f"POST {path}", **declared)
    with Watched(api) as watched:
        answer = asked(api, start, *([sent] * 10), every=1.0)
    document = decent(answer, 408)
    assert document["code"] == "body_too_slow"
    assert document["retryable"] is True
    assert answer.headers["connection"] == "close"
    watched.report()


def test_a_body_that_comes_in_pieces_is_read(api: Service) -> None:
    body = json.dumps(TINY).encode()
    declared = {"Content_Length": str(len(body)), "Content_Type": "application/json"}
    start = head(api, "POST /v1/jobs", **declared)
    answer = asked(api, start, body[:10], body[10:], every=0.2)
    assert answer.status == 202


def test_a_head_that_does_not_end_in_time_is_not_waited_for(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0, header_seconds=1)
    start = head(service, "GET /healthz")
    answer = asked(service, start[:-2], b"", every=3)
    assert decent(answer, 408)["code"] == "head_too_slow"


# -- long ones


@pytest.mark.parametrize("where", ["value", "name", "path", "query", "count"])
def test_a_head_has_its_limit(where: str, api: Service) -> None:
    long = "x" * 200_000
    odd = {
        "value": head(api, "GET /healthz", Long=long),
        "name": head(api, "GET /healthz", **{long: "1"}),
        "path": head(api, f"GET /{long}"),
        "query": head(api, f"GET /v1/jobs?after={long}"),
        "count": head(api, "GET /healthz", **{f"H{n}": "x" * 10 for n in range(10_000)}),
    }
    with Watched(api) as watched:
        assert decent(asked(api, odd[where]), 431)["code"] == "head_too_large"
    watched.report()


def test_a_head_without_an_end_is_not_kept(api: Service) -> None:
    start = head(api, "GET /healthz")[:-2] + b"Long: "
    with Watched(api) as watched:
        answer = asked(api, start, *repeat(b"x" * 100_000, 1000))
    assert decent(answer, 431)["code"] == "head_too_large"
    assert watched.grown < 10 << 20


@pytest.mark.parametrize(
    "sent",
    [
        *(b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n"),
        *(b"GET / HTTP/9.9\r\n\r\n", b"{}\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n"),
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nab",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_too(sent: bytes, api: Service) -> None:
    document = decent(asked(api, sent), 400, 401)
    assert document["code"] in {"no_http", "unknown_host", "unauthenticated"}


def chunked(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def test_a_body_in_a_million_chunks_is_no_burden(api: Service) -> None:
    kind = {"Transfer_Encoding": "chunked", "Content_Type": "application/json"}
    body = b"".join(chunked(repeat(b"[", 100_000)))
    with Watched(api) as watched:
        answer = asked(api, head(api, "POST /v1/keys", **kind), body)
    decent(answer, 422)
    watched.report()


def test_a_trailer_without_an_end_is_not_kept(api: Service) -> None:
    kind = {"Transfer_Encoding": "chunked", "Content_Type": "application/json"}
    start = head(api, "POST /v1/keys", **kind)
    with Watched(api) as watched:
        answer = asked(api, start, b"1\r\n{\r\n0\r\nT: ", *repeat(b"x" * 100_000, 1000))
    assert answer.status in {400, 408, 422, 431}
    assert watched.grown < 10 << 20


# -- forms


def form(boundary: bytes, parts: int) -> Iterator[bytes]:
    for n in range(parts):
        yield b'--%s\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % (boundary, n)
    yield b"--%s--\r\n" % boundary


def uploaded(service: Service, boundary: bytes, body: bytes) -> Answer:
    kind = f"multipart/form-data; boundary={boundary.decode()}"
    size = {"Content_Type": kind, "Content_Length": str(len(body))}
    return asked(service, head(service, "POST /v1/datasets?target=a", **size), body)


def test_a_form_of_many_parts_is_refused_at_the_first(api: Service) -> None:
    with Watched(api) as watched:
        answer = uploaded(api, b"xx", b"".join(form(b"xx", 100_000)))
    decent(answer, 422)
    watched.report()
    assert watched.grown < 50 << 20


@pytest.mark.parametrize("length", [300, 10_000_000])
def test_a_boundary_has_its_limit(length: int, api: Service) -> None:
    boundary = b"x" * length
    with Watched(api) as watched:
        answer = uploaded(api, boundary, b"".join(form(boundary[:1000], 1)))
    decent(answer, 422, 431)
    assert watched.grown < 50 << 20
