"""Somebody who has nothing but the OpenAPI document and a key can use the whole service.

``Contract`` below knows no path, no field and no word of ours: operations are found by their ids,
bodies are the document's own examples, and every answer is held against its schema.
"""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from tests.service import Service

Json = Any


class Contract:
    """A client made of the document."""

    def __init__(self, service: Service) -> None:
        self.http = service.http
        self.document: Json = self.http.get("/openapi.json").json()
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    def example(self, operation_id: str, name: str | None = None) -> Json:
        """A body that the document says will work."""
        _, _, operation = self.operations[operation_id]
        (content,) = [
            content
            for media_type, content in operation["requestBody"]["content"].items()
            if media_type == "application/json"
        ]
        return content["examples"][name or next(iter(content["examples"]))]["value"]

    def call(self, operation_id: str, body: Json = None, **given: Any) -> Json:
        """Calls an operation; its answer has to be one that the document names."""
        method, path, operation = self.operations[operation_id]
        places = {p["name"]: p["in"] for p in operation.get("parameters", [])}
        assert set(given) <= set(places), f"{operation_id} takes no {set(given) - set(places)}"
        sent: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        for name, value in given.items():
            sent[places[name]][name] = value
        answer = self.http.request(
            method,
            path.format(**sent["path"]),
            params=sent["query"],
            headers=sent["header"] | self.kind(operation, body),
            content=body if isinstance(body, str) else None,
            json=None if isinstance(body, str) else body,
        )
        self.check(operation, answer)
        return answer.json() if answer.content else None

    def kind(self, operation: Json, body: Json) -> dict[str, str]:
        """The media type of a body that is text: the first one taken that is no JSON."""
        if not isinstance(body, str):
            return {}
        kinds = [kind for kind in operation["requestBody"]["content"] if "json" not in kind]
        return {"Content-Type": kinds[0]}

    def check(self, operation: Json, answer: httpx2.Response) -> None:
        """Whether status, media type and document are those that were announced."""
        assert answer.is_success, answer.text
        announced = operation["responses"][str(answer.status_code)]
        if not answer.content:
            return
        kind = answer.headers["Content-Type"].partition(";")[0]
        schema = announced["content"][kind].get("schema")
        if schema and kind == "application/json":
            whole = {**schema, "components": self.document["components"]}
            jsonschema_rs.validator_for(whole).validate(answer.json())


@pytest.fixture(scope="session")
def contract(service: Service) -> Contract:
    return Contract(service)


def until(look: Callable[[], Json], ended: Callable[[Json], bool]) -> Json:
    """Looks until it has ended; each look may be held by the service for a while."""
    for _ in range(600):
        if ended(found := look()):
            return found
    raise AssertionError(f"does not end: {json.dumps(found)[:500]}")


def test_a_job_is_checked_trained_watched_and_asked(contract: Contract) -> None:
    specification = contract.example("create_job", "iris")
    planned = contract.call("validate_job", specification)
    job = contract.call("create_job", specification)
    job = until(
        lambda: contract.call("get_job", job_id=job["id"], wait=30),
        lambda found: bool(found["finished_at"]),
    )
    assert job["state"] == "succeeded", job
    curve = contract.call("get_metrics", job_id=job["id"])["series"]["loss"]
    assert len(curve["value"]) == planned["iterations"]
    moment = contract.call("get_iteration", job_id=job["id"], n=10)
    (name, *_) = moment["parameters"]
    contract.call("explain_weight", job_id=job["id"], n=10, weight=f"{name}[0,0]")
    rows = contract.example("predict_newest")
    answers = contract.call("predict_newest", rows, name=job["model"]["name"])
    assert len(answers["predictions"]) == len(rows["inputs"])
    assert contract.call("get_model", name=job["model"]["name"])["newest"]["job"] == job["id"]
    assert contract.call("list_events", job_id=job["id"])["data"]


def test_a_table_is_uploaded_and_trained_on(contract: Contract) -> None:
    table = "height,city,ill\n" + "".join(f"{i},{'AB'[i % 2]},{i % 3 == 0}\n" for i in range(60))
    dataset = contract.call("create_dataset", table, name="people", target="ill")
    contract.call("get_dataset", dataset_id=dataset["id"])
    contract.call("preview_dataset", dataset_id=dataset["id"])
    specification = contract.example("create_job", "iris") | {
        "name": "ill",
        "dataset": dataset["id"],
        "model": [{"type": "linear", "out_features": 2}],
    }
    job = contract.call("create_job", specification)
    job = until(
        lambda: contract.call("get_job", job_id=job["id"], wait=30),
        lambda found: bool(found["finished_at"]),
    )
    assert job["state"] == "succeeded", job
    row = {"height": 9, "city": "B"}
    found = contract.call("predict_newest", {"inputs": [row]}, name="ill")["predictions"]
    assert len(found[0]["probabilities"]) == 2


def test_every_word_of_the_catalogue_comes_with_the_schema_of_its_arguments(
    contract: Contract,
) -> None:
    catalog = contract.call("get_catalog")
    schema = contract.call("get_catalog_schema")
    jsonschema_rs.validator_for(schema).validate(contract.example("create_job", "iris"))
    words = [word for family in catalog.values() for word in family]
    assert len(words) > 60
