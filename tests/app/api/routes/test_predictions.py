"""Predictions over HTTP: by job, by name, by version; what does not fit is pointed at."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import pytest
from sqlalchemy import delete

from app.tables import Model, ModelVersion
from tests.app.conftest import database_of
from tests.app.talk import TINY, Document, mistakes, posted, problem, trained
from tests.service import Service

ROW = [0.0] * 64


def predicted(service: Service, path: str, **body: Any) -> Document:
    answer = service.http.post(f"/v1/{path}/predict", json=body)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


@pytest.fixture(scope="session")
def twice(service: Service) -> list[Document]:
    """One name, trained twice: after three iterations and after two hundred."""
    return [trained(service, TINY, name="twice", iterations=n) for n in (3, 200)]


def test_by_job_by_name_and_by_version_the_same_model_answers(
    service: Service, digits: Document
) -> None:
    name, version = digits["model"]["name"], digits["model"]["version"]
    rows = {"inputs": [ROW, [[[1.0] * 8] * 8]]}
    by_job = predicted(service, f"jobs/{digits['id']}", **rows)
    assert (by_job["model"], by_job["version"]) == ("digits-linear", version)
    assert by_job == predicted(service, f"models/{name}/versions/{version}", **rows)
    assert [set(one) for one in by_job["predictions"]] == [{"label", "probabilities"}] * 2


def test_the_newest_version_answers_and_the_older_ones_stay(
    service: Service, twice: list[Document]
) -> None:
    assert [document["model"]["version"] for document in twice] == [1, 2]
    rows = {"inputs": [[1.0]]}
    newest = predicted(service, "models/twice", **rows)
    assert newest["version"] == 2
    assert newest["predictions"][0]["value"] == pytest.approx([4.0], abs=1e-6)
    first = predicted(service, "models/twice/versions/1", **rows)
    assert first["predictions"][0]["value"] == pytest.approx([4 - 2 * 0.8**3], abs=1e-6)
    assert first == predicted(service, f"jobs/{twice[0]['id']}", **rows)


def test_a_new_version_answers_within_a_second(service: Service) -> None:
    trained(service, TINY, name="renewed")
    rows = {"inputs": [[1.0]]}
    assert predicted(service, "models/renewed", **rows)["version"] == 1
    asked = perpetual(service, "models/renewed")
    trained(service, TINY, name="renewed")
    began = time.monotonic()
    while next(asked)["version"] == 1:
        assert time.monotonic() - began < 1


def test_a_version_that_is_gone_is_not_found_within_a_second(service: Service) -> None:
    document = trained(service, TINY, name="gone")
    paths = ["models/gone", "models/gone/versions/1", f"jobs/{document['id']}"]
    asked = [perpetual(service, path) for path in paths]
    assert [next(one)["version"] for one in asked] == [1, 1, 1]
    with database_of(service) as database, database.session() as session:
        session.execute(delete(ModelVersion).where(ModelVersion.job_id == document["id"]))
        session.execute(delete(Model).where(Model.name == "gone"))  # a name has a version
    began = time.monotonic()
    for one in asked:
        while "code" not in (answer := next(one)):
            assert time.monotonic() - began < 1
        assert answer["code"] in {"not_found", "no_model"}


def test_that_there_is_no_model_yet_is_not_remembered(service: Service) -> None:
    for _ in range(3):
        answer = service.http.post("/v1/models/awaited/predict", json={"inputs": [[1.0]]})
        problem(answer, 404, "not_found")
    trained(service, TINY, name="awaited")
    assert predicted(service, "models/awaited", inputs=[[1.0]])["version"] == 1


def test_a_job_that_was_deleted_predicts_no_more_and_its_model_does(service: Service) -> None:
    document = trained(service, TINY, name="left-behind")
    by_job = perpetual(service, f"jobs/{document['id']}")
    assert next(by_job)["version"] == 1
    assert service.http.delete(f"/v1/jobs/{document['id']}").status_code == 204
    began = time.monotonic()
    while next(by_job).get("code") != "not_found":
        assert time.monotonic() - began < 1
    assert predicted(service, "models/left-behind", inputs=[[1.0]])["version"] == 1


def perpetual(service: Service, path: str) -> Iterator[Document]:
    """Answers of a model that is asked all the time."""
    while True:
        yield service.http.post(f"/v1/{path}/predict", json={"inputs": [[1.0]]}).json()


@pytest.mark.parametrize("rows", [1, 2, 3_000])
def test_a_request_gets_the_same_bits_whoever_asks_beside_it(
    rows: int, service: Service, digits: Document
) -> None:
    drawn = np.random.default_rng(rows)
    bodies = [{"inputs": drawn.uniform(0, 16, (rows, 64)).round(2).tolist()} for _ in range(3)]
    path = f"/v1/jobs/{digits['id']}/predict"
    alone = [service.http.post(path, json=body).content for body in bodies]
    with ThreadPoolExecutor(12) as pool:
        posts = [pool.submit(service.http.post, path, json=body) for body in bodies * 4]
    assert [post.result().content for post in posts] == alone * 4


def test_the_examples_of_the_test_split_are_predicted_as_well_as_the_job_says(
    service: Service, digits: Document
) -> None:
    answer = service.http.get(f"/v1/jobs/{digits['id']}/examples", params={"limit": 100})
    document = answer.json()
    assert (answer.status_code, document["split"], len(document["data"])) == (200, "test", 100)
    assert all(set(example) == {"row", "input", "target"} for example in document["data"])
    inputs = [example["input"] for example in document["data"]]
    answers = predicted(service, f"jobs/{digits['id']}", inputs=inputs)["predictions"]
    said = [answer["label"] for answer in answers]
    right = np.equal(said, [example["target"] for example in document["data"]]).mean()
    assert right == pytest.approx(digits["result"]["test"]["accuracy"], abs=0.1)


def test_the_splits_of_the_examples_share_no_row(service: Service, digits: Document) -> None:
    def rows(split: str) -> set[int]:
        path = f"/v1/jobs/{digits['id']}/examples"
        data = service.http.get(path, params={"split": split, "limit": 100}).json()["data"]
        return {example["row"] for example in data}

    train, validation, test = (rows(split) for split in ("train", "validation", "test"))
    assert len(train | validation | test) == 300


def test_logits_come_when_they_are_asked_for(service: Service, digits: Document) -> None:
    one = predicted(service, f"jobs/{digits['id']}", inputs=[ROW], outputs=["logits"])
    (answer,) = one["predictions"]
    logits = np.array(answer["logits"])
    odds = np.exp(logits - logits.max())
    assert answer["probabilities"] == pytest.approx((odds / odds.sum()).tolist(), abs=1e-6)
    assert answer["label"] == int(logits.argmax())


@pytest.mark.parametrize(
    ("inputs", "pointer", "sentence"),
    [
        ([[1.0], ["a"]], "/inputs/1", "must be a row of numbers"),
        ([[1.0, 2.0]], "/inputs/0", "the model takes 1 numbers a row, but 2 came"),
        ([[1.0], None], "/inputs/1", "must be a row of numbers"),
        ([[True]], "/inputs/0", "must be a row of numbers"),
        ([[10**400]], "/inputs/0", "must be a row of numbers"),
        ([], "/inputs", "must have at least 1 entry"),
        ("1.0", "/inputs", "must be a list"),
    ],
)
def test_an_input_that_does_not_fit_is_pointed_at(
    inputs: Any, pointer: str, sentence: str, service: Service, one_weight: Document
) -> None:
    path = f"/v1/jobs/{one_weight['id']}/predict"
    answer = service.http.post(path, json={"inputs": inputs})
    ((where, (_, message)),) = mistakes(answer, "invalid_request").items()
    assert (where, message) == (pointer, sentence)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_a_number_that_is_not_finite_is_pointed_at_to_the_element(
    number: str, service: Service, digits: Document
) -> None:
    row = "[" + ",".join(["0", "0", number] + ["0"] * 61) + "]"
    body = f'{{"inputs": [[{",".join(["0"] * 64)}], {row}]}}'
    assert mistakes(sent(service, digits, body), "invalid_request") == {
        "/inputs/1/2": ["unfit_input", "must be a finite number, not NaN or Inf"]
    }


def test_every_mistake_of_a_request_comes_at_once(service: Service, digits: Document) -> None:
    body = '{"inputs": 1, "outputs": ["logit"], "input": [[1]]}'
    found = mistakes(sent(service, digits, body), "invalid_request")
    assert found == {
        "/inputs": ["wrong_type", "must be a list"],
        "/outputs/0": ["unknown_name", "must be 'logits'"],
        "/input": ["unknown_field", "`input`: did you mean `inputs`?"],
    }


def sent(service: Service, job: Document, body: str) -> httpx2.Response:
    json = {"Content-Type": "application/json"}
    return service.http.post(f"/v1/jobs/{job['id']}/predict", content=body, headers=json)


def test_more_rows_than_the_limit_are_refused(service: Service, one_weight: Document) -> None:
    path = f"/v1/jobs/{one_weight['id']}/predict"
    answer = service.http.post(path, json={"inputs": [[1.0]] * 10_001})
    assert mistakes(answer, "invalid_request") == {
        "/inputs": ["limit_exceeded", "10001 rows are more than the 10000 allowed"]
    }


def test_a_job_without_a_model_is_a_conflict_that_says_why(api: Service) -> None:
    job_id = posted(api, TINY)
    answer = api.http.post(f"/v1/jobs/{job_id}/predict", json={"inputs": [[1.0]]})
    assert problem(answer, 409, "no_model")["detail"] == "the job has no model: it is queued"


@pytest.mark.parametrize("path", ["twice/versions/3", "unknown", "unknown/versions/1"])
def test_an_unknown_model_or_version_is_not_found(
    path: str, service: Service, twice: list[Document]
) -> None:
    answer = service.http.post(f"/v1/models/{path}/predict", json={"inputs": [[1.0]]})
    problem(answer, 404, "not_found")


@pytest.mark.parametrize("version", ["0", "-1", "x", str(10**30)])
def test_a_version_is_a_small_positive_number(version: str, api: Service) -> None:
    answer = api.http.post(f"/v1/models/m/versions/{version}/predict", json={"inputs": [[1.0]]})
    assert list(mistakes(answer, "invalid_request")) == ["/version"]


def test_examples_are_of_one_of_three_splits(service: Service, digits: Document) -> None:
    answer = service.http.get(f"/v1/jobs/{digits['id']}/examples?split=tests")
    assert mistakes(answer, "invalid_request") == {
        "/split": ["unknown_name", "must be 'train', 'validation' or 'test' (query parameter)"]
    }
