"""The contract as a document: complete, its examples run, and its page needs no network."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.talk import finished, problem
from tests.service import Service

Json = Any
METHODS = {"get", "post", "patch", "put", "delete"}


@pytest.fixture(scope="session")
def document(api: Service) -> Json:
    answer = api.http.get("/openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    return answer.json()


def operations(document: Json) -> dict[str, Json]:
    """By their ids."""
    found = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in METHODS
    ]
    return {operation["operationId"]: operation for operation in found}


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_every_reference_leads_somewhere(document: Json) -> None:
    for reference in set(references(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_every_operation_has_an_id_of_its_own_a_sentence_and_an_answer(document: Json) -> None:
    count = sum(len(METHODS & set(path)) for path in document["paths"].values())
    found = operations(document)
    assert len(found) == count
    for name, operation in found.items():
        assert re.fullmatch(r"[a-z][a-z_]*z?", name), name
        assert operation["description"], name
        assert any(status.startswith("2") for status in operation["responses"]), name


def test_every_answer_that_has_a_body_says_what_is_in_it(document: Json) -> None:
    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if status in {"204", "304"}:
                continue
            assert answer.get("content"), (name, status)
            for media_type, content in answer["content"].items():
                if "json" in media_type:
                    assert content.get("schema") not in (None, {}), (name, status)


def test_every_closed_operation_names_its_refusals(document: Json) -> None:
    for name, operation in operations(document).items():
        if operation.get("security"):
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), name
        else:
            assert not {"401", "429"} & set(operation["responses"]), name
    problems = {
        reference
        for operation in operations(document).values()
        for status, answer in operation["responses"].items()
        if status[0] in "45" and name_of(answer) == "application/problem+json"
        for reference in references(answer)
    }
    assert problems == {"#/components/schemas/Problem"}


def name_of(answer: Json) -> str:
    return next(iter(answer["content"]), "")


def test_every_example_of_a_job_runs(document: Json, service: Service) -> None:
    content = operations(document)["create_job"]["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) >= 2
    for example in content["examples"].values():
        answer = service.http.post("/v1/jobs", json=example["value"])
        assert answer.status_code == 202, answer.text
        assert finished(service, answer.json()["id"])["state"] == "succeeded"
    predict = operations(document)["predict_newest"]["requestBody"]["content"]["application/json"]
    for example in predict["examples"].values():
        answer = service.http.post("/v1/models/iris/predict", json=example["value"])
        assert answer.status_code == 200, answer.text


def test_the_page_takes_everything_from_its_own_origin(api: Service) -> None:
    page = api.http.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in re.sub("<!.*?>", "", page.text)
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        answer = api.http.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200, path
        assert len(answer.content) > 100
    assert "http" not in api.http.get("/docs/start.js").text


def test_there_is_no_other_file_beside_the_page(api: Service) -> None:
    problem(api.http.get("/docs/index.html"), 422, "invalid_request")
