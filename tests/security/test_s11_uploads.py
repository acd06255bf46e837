"""S11 and S9 for files: what is odd, endless or too slow is refused soon, in little memory, and
leaves nothing behind."""

import gzip
import socket
from collections.abc import Callable, Iterator
from itertools import repeat

import httpx2
import pytest

from tests.app.conftest import logged
from tests.app.talk import mistakes, problem
from tests.app.uploads import CSV, kept, sent
from tests.security.by_hand import SOON, Answer, Watched, asked, head
from tests.service import Service

MOST_GROWTH = 100 << 20
MEGABYTE = 1 << 20
PATH = "POST /v1/datasets?target=y"


pytestmark = pytest.mark.usefixtures("nothing_is_left")


def streamed(service: Service, pieces: Iterator[bytes], size: int, **headers: str) -> Answer:
    """The answer to a body of that length, of which only what is asked for is made."""
    given = {"Content_Type": "text/csv", "Content_Length": str(size), **headers}
    return asked(service, head(service, PATH, **given), *pieces)


@pytest.mark.parametrize(
    ("begin", "piece", "sentence"),
    [
        (b"x,y\n1,2\n", b"a" * MEGABYTE, "line 3: is longer than the 1000000 bytes allowed"),
        (b"", b"a" * MEGABYTE, "line 1: is longer than the 1000000 bytes allowed"),
        (b"x,y\n", b'"' * MEGABYTE, "line 2: is longer than the 1000000 bytes allowed"),
        (b"", b"name," * 200_000, "line 1: has more than the 2000 columns allowed"),
        (b"x,y\n1,2\n", b"\0" * MEGABYTE, "line 3: holds a NUL byte, so it is no text"),
        (b"\x1f\x8b", b"x" * MEGABYTE, "this is a gzip file; send it as CSV"),
    ],
    ids=["a line", "a first line", "quotes", "columns", "NUL", "gzip"],
)
def test_a_gigabyte_that_cannot_be_used_is_refused_at_its_beginning(
    begin: bytes, piece: bytes, sentence: str, api: Service
) -> None:
    count = 1024
    pieces = repeat(piece, count)
    with Watched(api) as watched:
        answer = streamed(api, iter([begin, *pieces]), len(begin) + count * len(piece))
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert sentence in answer.body.decode()
    assert answer.seconds < SOON
    assert watched.grown < MOST_GROWTH
    watched.report()


def test_a_hundred_thousand_columns_are_refused(api: Service) -> None:
    names = ",".join(f"c{i}" for i in range(100_000))
    answer = sent(api.http, f"{names}\n", "c1")
    assert mistakes(answer, "invalid_file") == {
        "": ["too_many_columns", "line 1: has more than the 2000 columns allowed"]
    }


def test_a_file_over_the_limit_is_refused(own_service: Callable[..., Service]) -> None:
    service = own_service(workers=0, max_upload_bytes=5_000_000)
    text = "x,y\n" + "1,2\n" * 2_000_000
    assert problem(sent(service.http, text), 413, "too_large")["detail"] == (
        "the body is larger than 5000000 bytes"
    )
    assert kept(service) == set()
    json = {"Content-Type": "application/json"}
    large = service.http.post("/v1/jobs", content=b" " * 10_000_001, headers=json)
    problem(large, 413, "too_large")


def test_a_file_larger_than_a_document_may_be_is_taken(api: Service) -> None:
    text = "x,y\n" + "".join(f"{i},{i % 7}\n" for i in range(1_500_000))
    assert len(text) > 10_000_001
    with Watched(api) as watched:
        answer = sent(api.http, text)
    assert answer.status_code == 201
    watched.report()
    assert api.http.delete(answer.headers["Location"]).status_code == 204


@pytest.mark.parametrize("seconds", [0.3, 3.0], ids=["a trickle", "silence"])
def test_a_file_that_hardly_comes_is_not_waited_for(
    seconds: float, own_service: Callable[..., Service]
) -> None:
    service = own_service(workers=0, upload_idle_seconds=1)
    size = {"Content_Type": "text/csv", "Content_Length": "1000000"}
    answer = asked(service, head(service, PATH, **size), *repeat(b"x", 20), every=seconds)
    assert answer.status == 408, answer
    assert answer.seconds < 1 + SOON
    assert kept(service) == set()


def test_of_a_file_that_breaks_off_nothing_is_left(api: Service) -> None:
    url = httpx2.URL(api.url)
    length = {"Content_Type": "text/csv", "Content_Length": "9000000", "X_Request_Id": "broke-off"}
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head(api, PATH, **length) + b"x,y\n" + b"1,2\n" * 500_000)
    assert '"status":499' in logged(api, "app", "broke-off", '"event":"request"')


def test_compressed_bodies_are_not_taken(api: Service) -> None:
    headers = {**CSV, "Content-Encoding": "gzip"}
    answer = sent(api.http, gzip.compress(b"x,y\n1,2\n2,3\n"), headers=headers)
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "", "image/png"])
def test_another_media_type_is_refused_with_those_that_are_taken(
    media_type: str, api: Service
) -> None:
    answer = sent(api.http, "x,y\n1,2\n", headers={"Content-Type": media_type})
    assert "text/csv" in problem(answer, 415, "unsupported_media_type")["detail"]


# Forms.

BOUNDARY = b"limit"
FORM = {"Content-Type": "multipart/form-data; boundary=limit"}


def part(name: str, content: bytes = b"x,y\n1,2\n2,3\n", more: str = "") -> bytes:
    return (
        b"--limit\r\n"
        + f'Content-Disposition: form-data; name="{name}"; filename="f.csv"\r\n{more}\r\n'.encode()
        + content
        + b"\r\n"
    )


END = b"--limit--\r\n"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (part("file") * 100_000 + END, "the form has more than one part; only `file` is taken"),
        (part("x") * 100_000 + END, "the form's part has another name than `file`"),
        (part("file", more="A: b\r\n" * 100_000) + END, "the form cannot be read"),
        (part("file", more="A: " + "b" * 9_000_000 + "\r\n") + END, "the form cannot be read"),
        (part("file"), "the form ends before its last boundary"),
        (END, "the form has no part `file`"),
        (b"", "the form ends before its last boundary"),
        (b"nonsense" * 1_000_000, "the form cannot be read"),
    ],
    ids=["parts", "fields", "headers", "a header", "no end", "no part", "nothing", "nonsense"],
)
def test_an_odd_form_is_refused_as_soon_as_it_is_odd(
    body: bytes, sentence: str, api: Service
) -> None:
    given = {"Content_Type": FORM["Content-Type"], "Content_Length": str(len(body))}
    with Watched(api) as watched:
        answer = asked(api, head(api, PATH, **given), body)
    assert answer.status == 422, answer.body
    assert sentence in answer.body.decode()
    assert answer.seconds < SOON
    assert watched.grown < MOST_GROWTH
    watched.report()


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 5_000])
def test_a_boundary_has_to_be_one(boundary: str, api: Service) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = sent(api.http, part("file") + END, headers=headers)
    assert answer.json()["errors"][0]["code"] == "invalid_form"
    problem(answer, 422, "invalid_request")


# What is wrong with files, over HTTP.


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"x,y\n", "no_rows"),
        (b"x,y\n1,2\n3\n", "ragged_row"),
        (b"x,y\n\xc3\xa4,1\n\xff,2\n", "wrong_encoding"),
        (b"x,y\n1,\0\n", "nul_byte"),
        (b"x,y\n1,a\n2,a\n", "one_class"),
        (b"x,y\n1,\n2,\n", "target_missing"),
        (b"x,x,y\n1,2,3\n", "duplicate_column"),
        (b'x,y\n1,2\n3,"4\n', "unclosed_quote"),
        (b"y\n1\n2\n", "no_features"),
        (b"x,y\n1,2\n1e99,2\n3,4\n", "not_finite"),
        (b"PK\x03\x04" + b"x" * 100, "not_text"),
        ("x,y\n1,2\n3\n".encode("utf-16"), "ragged_row"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_mistake_of_the_request(
    content: bytes, code: str, api: Service
) -> None:
    answer = sent(api.http, content)
    assert mistakes(answer, "invalid_file")[""][0] == code
    assert problem(answer, 422, "invalid_file")["detail"] == "the file cannot be used"
