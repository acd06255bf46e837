"""Why a weight moved, and whether a job is reproducible, over HTTP."""

import numpy as np
import pytest
from sqlalchemy import select, update

from app.tables import MetricChunk
from tests.app.conftest import database_of
from tests.app.talk import DIGITS, FOR_EVER, TINY, Document, posted, problem, trained
from tests.servers import eventually
from tests.service import Service


def explained(service: Service, job: Document, n: int, weight: str, **query: int) -> Document:
    path = f"/v1/jobs/{job['id']}/iterations/{n}/explain"
    answer = service.http.get(path, params={"weight": weight, **query})
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def verified(service: Service, job: Document) -> Document:
    answer = service.http.post(f"/v1/jobs/{job['id']}/verify")
    assert answer.status_code == 202, answer.text
    path = answer.headers["Location"]
    eventually(lambda: service.http.get(path).json()["finished_at"], "the verdict", 60, every=0.05)
    task: Document = service.http.get(path).json()
    assert task["state"] == "succeeded", task
    result: Document = task["result"]
    return result


def test_the_weight_of_the_one_weight_job_is_explained_at_any_iteration(
    service: Service, one_weight: Document
) -> None:
    found = explained(service, one_weight, 1, "0.weight[0,0]")
    assert found["weight"] == {"address": "0.weight[0,0]", "value": pytest.approx(2.4)}
    assert found["example"] == {"index": 0, "row": 0, "input": [1.0], "target": [4.0]}
    assert found["forward"] == {"outputs": [pytest.approx(2.4)], "loss": pytest.approx(2.56)}
    assert found["backward"]["gradient"] == pytest.approx(-3.2)
    assert found["finite_difference"]["gradient"] == pytest.approx(-3.2)
    update = found["update"]
    assert update["before"] - update["lr"] * update["gradient"] == pytest.approx(update["after"])
    assert update["after"] == pytest.approx(2.72)


def test_a_classifier_shows_probabilities_and_after_the_last_update_there_is_none(
    service: Service, digits: Document
) -> None:
    found = explained(service, digits, 60, "0.weight[3,20]", example=5)
    assert sum(found["forward"]["probabilities"]) == pytest.approx(1)
    assert found["update"] is None
    assert found["example"]["index"] == 5
    assert np.shape(found["example"]["input"]) == (1, 8, 8)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"weight": "0.weight"}, "/weight"),
        ({"weight": "0.wieght[0,0]"}, "/weight"),
        ({"weight": "0.weight[0,0],0.weight[0,0]"}, "/weight"),
        ({"weight": "0.weight[0,7]"}, "/weight"),
        ({"weight": "0.weight[0,0]", "example": "1"}, "/example"),
        ({"weight": "0.weight[0,0]", "example": "-1"}, "/example"),
        ({}, "/weight"),
    ],
)
def test_what_cannot_be_explained_is_pointed_at(
    query: dict[str, str], pointer: str, service: Service, one_weight: Document
) -> None:
    path = f"/v1/jobs/{one_weight['id']}/iterations/1/explain"
    answer = service.http.get(path, params=query)
    code = answer.json()["code"]
    assert [m["pointer"] for m in problem(answer, 422, code)["errors"]] == [pointer]


def test_a_job_is_verified_by_training_it_again(service: Service, digits: Document) -> None:
    assert verified(service, digits) == {
        "verified": True,
        "values": {"loss": 60, "validation_loss": 9, "validation_accuracy": 9},
        "first_difference": None,
        "model": True,
        "same_fingerprint": True,
    }


def test_a_job_that_was_stopped_is_verified_as_far_as_it_came(service: Service) -> None:
    job_id = posted(service, DIGITS, iterations=9_000, name="stopped")
    path = f"/v1/jobs/{job_id}"
    eventually(lambda: service.http.get(path).json()["progress"]["iteration"], "it runs", 30)
    document = service.http.post(f"{path}/cancel").json()
    assert document["state"] == "cancelled"
    verdict = verified(service, document)
    assert (verdict["verified"], verdict["model"]) == (True, None)
    assert verdict["values"]["loss"] == document["progress"]["iteration"]


def test_a_single_changed_bit_is_noticed(service: Service) -> None:
    document = trained(service, TINY, iterations=40)
    with database_of(service) as database, database.session() as session:
        where = MetricChunk.job_id == document["id"]
        values = session.scalars(select(MetricChunk).where(where)).one().values.copy()
        values.view(np.int32)[17] ^= 1
        session.execute(update(MetricChunk).where(where).values(values=values))
    verdict = verified(service, document)
    assert (verdict["verified"], verdict["first_difference"]) == (False, 17)


def test_a_job_that_has_not_ended_cannot_be_verified(api: Service) -> None:
    job_id = posted(api, FOR_EVER)
    problem(api.http.post(f"/v1/jobs/{job_id}/verify"), 409, "state_conflict")
    problem(api.http.post("/v1/jobs/job_none/verify"), 404, "not_found")
