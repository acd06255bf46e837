"""How tests speak with the service, and what holds for every answer."""

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httpx2

from tests.servers import eventually
from tests.service import Service
from tests.specifications import ONE_WEIGHT, Specification

Document = dict[str, Any]

TINY: Specification = {**ONE_WEIGHT, "iterations": 3}
del TINY["name"]

DIGITS: Specification = {
    "name": "digits-linear",
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2, "seed": 0},
    "model": [{"type": "linear", "out_features": 10}],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1},
    "batch_size": 64,
    "iterations": 60,
    "evaluate_every": 7,
}
"""Its last evaluation is after iteration 59, so not at a multiple of seven."""

FOR_EVER: Specification = {**ONE_WEIGHT, "name": "for-ever", "iterations": 100_000_000}

MEMBERS = {
    *("type", "title", "status", "detail", "instance"),  # RFC 9457
    *("code", "errors", "request_id", "retryable"),  # ours
}

OURS_ALONE = ("Traceback", "sqlalchemy", "sqlite3", "psycopg", "SELECT", "pydantic", ".py", "fl-")
"""Words of libraries and stacks, and how the folders begin that tests put a service into."""


def posted(service: Service, specification: Specification, **changes: Any) -> str:
    """The id of a new job."""
    answer = service.http.post("/v1/jobs", json={**specification, **changes})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(service: Service, job_id: str) -> Document:
    answer = service.http.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def finished(service: Service, job_id: str, within: float = 60) -> Document:
    """The job once nothing happens to it any more."""
    eventually(lambda: job(service, job_id)["finished_at"], f"{job_id} ends", within, every=0.05)
    return job(service, job_id)


def trained(service: Service, specification: Specification, **changes: Any) -> Document:
    """A new job, at its good end."""
    document = finished(service, posted(service, specification, **changes))
    assert document["state"] == "succeeded", document
    return document


def metrics(service: Service, job_id: str, **query: Any) -> Document:
    answer = service.http.get(f"/v1/jobs/{job_id}/metrics", params=query)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def losses(service: Service, job_id: str) -> list[float | str]:
    """Every loss, which are those of the iterations 0, 1, 2 … each once."""
    series = metrics(service, job_id)["series"]["loss"]
    assert series["iteration"] == list(range(len(series["value"])))
    values: list[float | str] = series["value"]
    return values


def problem(answer: httpx2.Response, status: int, code: str) -> Document:
    """The document of a refusal, after a look at all that every one of them has."""
    assert (answer.status_code, answer.headers.get("Content-Type")) == (
        status,
        "application/problem+json",
    ), answer.text
    document: Document = answer.json()
    assert set(document) == MEMBERS
    assert document["type"] == f"urn:fallline:problem:{code}"
    assert document["title"] == HTTPStatus(status).phrase
    assert (document["status"], document["code"]) == (status, code)
    assert document["detail"]
    assert document["instance"] == unquote(answer.request.url.path)
    assert document["request_id"] == answer.headers["X-Request-Id"]
    assert document["retryable"] is (status in {408, 429, 503, 507})
    for mistake in document["errors"]:
        assert set(mistake) == {"pointer", "code", "message"}
    assert [word for word in OURS_ALONE if word in answer.text] == []
    return document


def mistakes(answer: httpx2.Response, code: str = "invalid_specification") -> dict[str, list[str]]:
    """Where a 422 points, and what it says there: code and sentence."""
    found = problem(answer, 422, code)["errors"]
    assert found
    return {mistake["pointer"]: [mistake["code"], mistake["message"]] for mistake in found}
