"""Trained models over HTTP: found by name and version, fetched as a file."""

import hashlib
import json

import httpx2
import numpy as np
import pytest
from safetensors.numpy import load

from tests.app.conftest import Connect, new_key
from tests.app.talk import TINY, Document, problem, trained
from tests.service import Service


@pytest.fixture(scope="session")
def pair(service: Service) -> list[Document]:
    """Two versions of one name."""
    return [trained(service, TINY, name="pair", iterations=n) for n in (3, 50)]


def test_a_model_has_its_newest_version_and_every_version_its_job(
    service: Service, pair: list[Document]
) -> None:
    model = service.http.get("/v1/models/pair").json()
    assert (model["object"], model["name"], model["versions"]) == ("model", "pair", 2)
    assert model["newest"]["id"] == pair[1]["model"]["id"]
    for version, job in zip((1, 2), pair, strict=True):
        found = service.http.get(f"/v1/models/pair/versions/{version}").json()
        assert (found["version"], found["job"], found["model"]) == (version, job["id"], "pair")
        assert found["id"] == job["model"]["id"]


def test_the_list_of_models_is_the_newest_first_and_its_pages_are_the_whole(
    service: Service, pair: list[Document]
) -> None:
    trained(service, TINY, name="later")
    names, after = [], None
    while True:
        params = {"limit": 1} | ({"after": after} if after else {})
        page = service.http.get("/v1/models", params=params).json()
        names += [model["name"] for model in page["data"]]
        after = page["next"]
        if not page["has_more"]:
            break
    assert names.index("later") < names.index("pair")
    assert len(names) == len(set(names))


def test_a_model_is_fetched_as_a_file_of_safetensors(
    service: Service, pair: list[Document]
) -> None:
    answer = service.http.get("/v1/models/pair/versions/2/download?format=safetensors")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="pair-2.safetensors"'
    version = service.http.get("/v1/models/pair/versions/2").json()
    assert hashlib.sha256(answer.content).hexdigest() == version["sha256"]
    assert len(answer.content) == version["size"]
    weight = load(answer.content)["state.0.weight"]
    np.testing.assert_allclose(weight, [[4 - 2 * 0.8**50]], rtol=1e-5)


def test_a_file_that_the_client_has_is_not_sent_again(
    service: Service, pair: list[Document]
) -> None:
    path = "/v1/models/pair/versions/1/download"
    first = service.http.get(path)
    tag = first.headers["ETag"]
    assert tag == f'"{hashlib.sha256(first.content).hexdigest()}"'
    assert first.headers["Content-Length"] == str(len(first.content))
    again = service.http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert service.http.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_what_is_not_there_is_not_found(service: Service, pair: list[Document]) -> None:
    for path in ("none", "none/versions/1", "pair/versions/3", "pair/versions/3/download"):
        problem(service.http.get(f"/v1/models/{path}"), 404, "not_found")
    answer = service.http.get("/v1/models/pair/versions/1/download?format=pickle")
    problem(answer, 422, "invalid_request")


def test_another_tenants_model_is_as_unknown_as_none(
    service: Service, connect: Connect, pair: list[Document]
) -> None:
    stranger = connect(service, new_key(service, tenant="models-of-another"))
    assert stranger.get("/v1/models").json()["data"] == []

    def refused(name: str) -> Document:
        answer: httpx2.Response = stranger.get(
            f"/v1/models/{name}", headers={"X-Request-Id": "same"}
        )
        document: Document = json.loads(answer.text.replace(name, "NAME"))
        return document

    assert refused("pair") == refused("none") != {}
