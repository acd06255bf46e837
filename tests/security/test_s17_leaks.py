"""S17, errors that leak: whatever is sent, a refusal holds no path, SQL, trace or address.

Five hundred requests that are wrong in ways drawn from a fixed seed, to every operation.
"""

import json
import random
import re
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.app.talk import DIGITS
from tests.databases import ROOT
from tests.service import Service

REQUESTS = 500
LEAKS = re.compile(
    r"Traceback|File \"|line \d+, in |\.py\b|site-packages|0x[0-9a-f]{6,}|\b\d+\.\d+\.\d+\.\d+\b"
    r"|\b(SELECT|INSERT|UPDATE|DELETE) .*\b(FROM|INTO|SET|WHERE)\b|\bpsycopg|\bsqlite|sqlalchemy"
    r"|pydantic|starlette|fastapi|uvicorn|celery|redis|torch\.|numpy|kombu|<class|object at"
    r"|/(?:tmp|home|usr|root|var|opt|proc|etc)/|errors\.pydantic|Error\b",
    re.IGNORECASE,
)
WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 2**63, 2**200, "", " ", "\u202e", "a" * 300, "\ud83d\ude00"),
    *([], {}, [[]], [None], {"": None}, {"type": None}, {"type": []}, [[1.0, "x"]], [{}], "NaN"),
    *("'; --", "' OR 1=1", "%s%n", "{0.__class__}", "${x}", "<b>", "\\", '"', "\t\n"),
)
TEXTS = ("", "{", "[", "nul", '{"a":', "[1,]", '"', "\ufeff{}", "{}{}", "[" * 5000, '{"a":1' * 200)


def damaged(draw: random.Random, node: Any, depth: int = 0) -> Any:
    """A document with one thing in it replaced, removed or added."""
    inner = (
        list(node)
        if isinstance(node, dict)
        else list(range(len(node)))
        if isinstance(node, list)
        else []
    )
    if not inner or draw.random() < 0.25 * depth:
        return draw.choice(WRONG)
    at = draw.choice(inner)
    copy: Any = dict(node) if isinstance(node, dict) else list(node)
    match draw.randrange(4):
        case 0:
            del copy[at]
        case 1 if isinstance(copy, dict):
            copy[draw.choice(["x", "", "type", "__class__", "lr", "layers"])] = draw.choice(WRONG)
        case _:
            copy[at] = damaged(draw, node[at], depth + 1)
    return copy


def value(draw: random.Random) -> str:
    """For a parameter."""
    words = [*WRONG, "job_1", "1", "loss", "9" * 400, "1e400", "-0", "0x10", "١"]
    return str(draw.choice(words)).encode("utf-8", "replace").decode()


def sent(draw: random.Random, client: httpx2.Client, operation: str) -> httpx2.Response:
    """One request that is probably wrong."""
    method, path = operation.split(" ", 1)
    path = re.sub(r"\{[^}]*\}", lambda _: value(draw).replace("/", "") or "x", path)
    # What HTTP itself cannot carry, the client would not send.
    path = quote(path, safe="/%")
    names = ("limit", "after", "series", "points", "parameters", "split", "format", "wait", "state")
    params = {name: value(draw) for name in draw.sample(names, draw.randrange(3))}
    headers = {
        "Content-Type": draw.choice(["application/json"] * 6 + ["text/plain", "x", "a/b; c=d"])
    }
    if draw.random() < 0.1:
        headers["If-Match"] = headers["Last-Event-ID"] = draw.choice(['"x"', "*", "W/", "9" * 40])
    body: Any = None
    if method in {"POST", "PATCH", "PUT"}:
        whole = {**DIGITS, "inputs": [[0.0] * 64]} if draw.random() < 0.3 else DIGITS
        body = draw.choice(TEXTS) if draw.random() < 0.2 else json.dumps(damaged(draw, whole))
    content = body.encode("utf-8", "surrogatepass") if body is not None else None
    return client.request(method, path, params=params, headers=headers, content=content)


@pytest.mark.parametrize("first", range(5))
def test_no_refusal_tells_what_only_we_should_know(
    first: int, api: Service, operations: frozenset[str]
) -> None:
    draw = random.Random(first)
    closed = sorted(o for o in operations if " /v1/" in o)
    refused = 0
    for _ in range(REQUESTS // 5):
        operation = draw.choice(closed)
        answer = sent(draw, api.http, operation)
        assert answer.status_code < 500, (operation, answer.request.content, answer.text)
        if answer.status_code < 400:
            continue
        refused += 1
        leak = LEAKS.search(said(answer))
        assert leak is None, (operation, leak, answer.text)
        assert str(ROOT) not in answer.text
        assert not {"server", "x-powered-by"} & {name.lower() for name in answer.headers}
    assert refused > REQUESTS / 10


def said(answer: httpx2.Response) -> str:
    """What the service says, without what tells nothing: the request's path, and its random id."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    document = answer.json()
    del document["instance"], document["request_id"]
    return json.dumps(document, ensure_ascii=False)


def test_the_pattern_sees_what_leaks() -> None:
    for text in (
        'File "/srv/x/app/main.py", line 3, in f',
        "could not open /tmp/fl-home-1/objects/model",
        "SELECT jobs.id FROM jobs WHERE id = 1",
        "<sqlalchemy.orm.Session object at 0x7f12ab34cd56>",
        "connection to server at 10.0.0.7 failed",
        "ValidationError: 1 error",
    ):
        assert LEAKS.search(text), text
