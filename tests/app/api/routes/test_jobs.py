"""Jobs over HTTP: submit, look, cancel, delete."""

import re

import pytest
from sqlalchemy import select

from app.storage import Storage
from app.tables import Checkpoint
from tests.app.conftest import Connect, database_of, logged
from tests.app.talk import (
    DIGITS,
    FOR_EVER,
    TINY,
    Document,
    finished,
    job,
    losses,
    metrics,
    posted,
    problem,
    trained,
)
from tests.servers import eventually
from tests.service import Service

JOB = {
    *("id", "object", "name", "state", "state_reason", "spec", "latest", "best"),
    *("priority", "progress"),
    *("queue", "attempts", "device", "worker", "execution", "result", "model", "error"),
    *("created_at", "started_at", "finished_at", "metadata"),
    *("retry_of", "forked_from", "interventions"),
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_posted_job_is_accepted_with_its_place_and_its_document(api: Service) -> None:
    answer = api.http.post("/v1/jobs", json=TINY)
    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{document['id']}"
    assert answer.headers["Content-Type"] == "application/json"
    assert set(document) == JOB
    assert (document["object"], document["state"]) == ("job", "queued")
    assert document["name"] == document["id"]
    assert document["id"].startswith("job_")
    assert document["progress"] == {
        "iteration": 0,
        "iterations": 3,
        "epoch": 0.0,
        "fraction": 0.0,
        "eta_seconds": None,
    }
    assert document["queue"]["reason"] == "waiting_for_a_worker"
    assert document["queue"]["position"] >= 1
    assert TIME.fullmatch(document["created_at"])
    nothing_yet = ("started_at", "finished_at", "error", "model", "result", "device", "worker")
    assert [document[name] for name in nothing_yet] == [None] * 7


def test_a_job_keeps_its_name_its_metadata_and_a_complete_specification(api: Service) -> None:
    labels = {"customer": "Ünal & Søn", "emoji": "⛷️"}
    document = job(api, posted(api, TINY, name="ski", metadata=labels, priority=7))
    assert (document["name"], document["metadata"]) == ("ski", labels)
    assert document["spec"]["priority"] == 7
    assert document["spec"]["schedule"]["type"] == "constant"
    assert document["spec"]["model"]["layers"][0]["type"] == "linear"


def test_a_job_that_is_looked_up_says_the_same_as_when_it_was_posted(api: Service) -> None:
    answer = api.http.post("/v1/jobs", json=TINY).json()
    assert job(api, answer["id"]) == answer


def test_a_job_of_higher_priority_stands_before_one_that_came_earlier(api: Service) -> None:
    early = posted(api, TINY, priority=999)
    before = job(api, early)["queue"]["position"]
    urgent = posted(api, TINY, priority=1000)
    assert job(api, urgent)["queue"]["position"] == before
    assert job(api, early)["queue"]["position"] == before + 1
    for job_id in (early, urgent):
        api.http.post(f"/v1/jobs/{job_id}/cancel")


def test_a_list_is_the_newest_first_and_its_pages_are_the_whole(
    api: Service, tenant: Connect
) -> None:
    http = tenant(api)
    assert http.get("/v1/jobs").json() == {"data": [], "has_more": False, "next": None}
    ids = [http.post("/v1/jobs", json=TINY).json()["id"] for _ in range(5)]
    seen, page = [], http.get("/v1/jobs", params={"limit": 2}).json()
    sizes = [len(page["data"])]
    while True:
        seen += [document["id"] for document in page["data"]]
        if not page["has_more"]:
            break
        assert page["next"] == seen[-1]
        page = http.get("/v1/jobs", params={"limit": 2, "after": page["next"]}).json()
        sizes.append(len(page["data"]))
    assert page["next"] is None
    assert (seen, sizes) == (ids[::-1], [2, 2, 1])


def test_a_list_whose_last_page_is_full_has_no_more(api: Service, tenant: Connect) -> None:
    http = tenant(api)
    for _ in range(2):
        http.post("/v1/jobs", json=TINY)
    page = http.get("/v1/jobs", params={"limit": 2}).json()
    assert (len(page["data"]), page["has_more"], page["next"]) == (2, False, None)


def test_a_list_has_twenty_jobs_unless_told_otherwise(api: Service, tenant: Connect) -> None:
    http = tenant(api)
    for _ in range(21):
        http.post("/v1/jobs", json=TINY)
    assert len(http.get("/v1/jobs").json()["data"]) == 20
    assert len(http.get("/v1/jobs", params={"limit": 100}).json()["data"]) == 21


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("0", "must be at least 1 (query parameter)"),
        ("101", "must be at most 100 (query parameter)"),
        ("two", "must be a whole number (query parameter)"),
        ("9" * 5000, "must be a whole number (query parameter)"),
    ],
)
def test_a_list_has_one_to_a_hundred_jobs(limit: str, sentence: str, api: Service) -> None:
    answer = api.http.get("/v1/jobs", params={"limit": limit})
    (mistake,) = problem(answer, 422, "invalid_request")["errors"]
    assert (mistake["pointer"], mistake["message"]) == ("/limit", sentence)


@pytest.mark.parametrize("action", ["GET {}", "POST {}/cancel", "DELETE {}"])
def test_an_unknown_job_is_not_found(action: str, api: Service) -> None:
    method, path = action.format("/v1/jobs/job_unknown").split()
    problem(api.http.request(method, path), 404, "not_found")


def test_a_succeeded_job_says_how_it_ended(digits: Document) -> None:
    assert (digits["state"], digits["error"], digits["queue"]) == ("succeeded", None, None)
    assert set(digits["result"]) == {"train", "validation", "test"}
    assert all(set(part) == {"loss", "accuracy"} for part in digits["result"].values())
    assert digits["result"]["test"]["accuracy"] > 0.7
    assert set(digits["model"]) == {"name", "version", "id"}
    assert digits["progress"]["iteration"] == digits["progress"]["iterations"] == 60
    assert digits["progress"]["fraction"] == 1
    assert digits["attempts"] == 1
    assert set(digits["latest"]) == {"loss", "validation_loss", "validation_accuracy"}
    assert digits["latest"]["validation_loss"] == pytest.approx(
        digits["result"]["validation"]["loss"]
    )
    assert digits["created_at"] <= digits["started_at"] <= digits["finished_at"]


def test_the_same_specification_posted_twice_gives_the_same_losses_to_the_bit(
    service: Service, digits: Document
) -> None:
    again = trained(service, DIGITS)
    query = {"series": "loss,validation_loss,validation_accuracy"}
    first, second = (metrics(service, d["id"], **query)["series"] for d in (digits, again))
    assert len(first["loss"]["value"]) == 60
    assert first == second
    assert again["result"] == digits["result"]


# -- cancel


def test_a_queued_job_that_is_cancelled_is_at_its_end(api: Service) -> None:
    job_id = posted(api, TINY)
    answer = api.http.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code == 202
    assert answer.json()["state"] == "cancelled"
    assert answer.json()["state_reason"] == "cancelled on request"
    assert answer.json()["queue"] is None
    assert TIME.fullmatch(answer.json()["finished_at"])
    assert job(api, job_id) == answer.json()


def test_a_running_job_is_cancelled_at_once_and_keeps_what_it_has_recorded(
    service: Service,
) -> None:
    job_id = posted(service, FOR_EVER)
    eventually(lambda: job(service, job_id)["progress"]["iteration"], "it runs", 30)
    refused = service.http.delete(f"/v1/jobs/{job_id}")
    assert "is running cannot be deleted" in problem(refused, 409, "state_conflict")["detail"]
    answer = service.http.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    recorded = losses(service, job_id)
    # The worker hears of it with the block that it may no longer write.
    logged(service, "worker", "job lost", job_id)
    assert losses(service, job_id) == recorded
    document = job(service, job_id)
    assert document["progress"]["iteration"] == len(recorded) > 0
    assert (document["state"], document["model"]) == ("cancelled", None)


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
def test_cancelling_a_finished_job_is_a_conflict(
    end: str, service: Service, one_weight: Document
) -> None:
    job_id = one_weight["id"]
    if end == "cancelled":
        job_id = posted(service, FOR_EVER)
        service.http.post(f"/v1/jobs/{job_id}/cancel")
    before = job(service, job_id)
    answer = service.http.post(f"/v1/jobs/{job_id}/cancel")
    detail = problem(answer, 409, "state_conflict")["detail"]
    assert detail.startswith(f"a job that is {end} cannot be cancelled; it has ended")
    assert job(service, job_id) == before


# -- delete


def test_a_queued_job_cannot_be_deleted(api: Service) -> None:
    job_id = posted(api, TINY)
    detail = problem(api.http.delete(f"/v1/jobs/{job_id}"), 409, "state_conflict")["detail"]
    assert detail == "a job that is queued cannot be deleted; cancel it first"
    assert job(api, job_id)["state"] == "queued"


def test_a_cancelled_job_can_be_deleted(api: Service) -> None:
    job_id = posted(api, TINY)
    api.http.post(f"/v1/jobs/{job_id}/cancel")
    answer = api.http.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.http.get(f"/v1/jobs/{job_id}"), 404, "not_found")
    problem(api.http.delete(f"/v1/jobs/{job_id}"), 404, "not_found")


def test_deleting_a_job_takes_its_series_and_checkpoints_and_leaves_its_model(
    service: Service,
) -> None:
    document = trained(service, TINY, name="survivor", iterations=500, checkpoint_every_seconds=0)
    job_id = document["id"]
    with database_of(service) as database, database.session(write=False) as session:
        query = select(Checkpoint.location).where(Checkpoint.job_id == job_id)
        files = [service.home / "objects" / place for place in session.scalars(query)]
    assert files
    assert all(file.exists() for file in files)
    assert service.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert [file for file in files if file.exists()] == []
    for path in ("", "/metrics", "/iterations/0", "/examples"):
        problem(service.http.get(f"/v1/jobs/{job_id}{path}"), 404, "not_found")
    body = {"inputs": [[1.0]]}
    problem(service.http.post(f"/v1/jobs/{job_id}/predict", json=body), 404, "not_found")
    answer = service.http.post("/v1/models/survivor/predict", json=body)
    assert answer.json()["predictions"][0]["value"] == pytest.approx([4.0], abs=1e-5)


def test_no_file_of_a_deleted_job_is_left_in_the_storage(service: Service) -> None:
    storage = Storage(service.home / "objects")
    before = {file for file in storage.root.rglob("*") if file.is_file()}
    document = trained(service, TINY, checkpoint_every_seconds=0)
    service.http.delete(f"/v1/jobs/{document['id']}")
    left = {file for file in storage.root.rglob("*") if file.is_file()} - before
    assert [file.parent.parent.name for file in left] == ["model"]


# -- divergence


def test_a_job_that_diverges_fails_with_its_iteration_and_keeps_every_loss(
    service: Service,
) -> None:
    steep = {**DIGITS, "name": "steep", "optimizer": {"type": "sgd", "lr": 1e6}}
    deep = [{"type": "linear", "out_features": 64}, "relu", {"type": "linear", "out_features": 10}]
    document = finished(service, posted(service, steep, model=deep))
    error = document["error"]
    assert (document["state"], document["state_reason"]) == ("failed", "diverged")
    assert set(error) == {"category", "code", "message", "retryable", "iteration"}
    assert (error["category"], error["code"]) == ("diverged", "loss_diverged")
    assert error["message"].endswith("the learning rate is probably too high; try a third of it")
    assert f"the loss at iteration {error['iteration']} was" in error["message"]
    assert len(losses(service, document["id"])) == error["iteration"] + 1
    assert document["model"] is None


@pytest.mark.parametrize(("x", "loss"), [([[1.0]], "Infinity"), ([[1.0], [0.0]], "NaN")])
def test_a_loss_that_json_cannot_carry_is_a_string_everywhere(
    x: list[list[float]], loss: str, service: Service
) -> None:
    data = {"x": x, "y": [[4.0]] * len(x)}
    job_id = posted(service, TINY, dataset=data, optimizer={"type": "sgd", "lr": 3e38})
    document = finished(service, job_id)
    assert (document["state"], document["error"]["category"]) == ("failed", "diverged")
    assert document["error"]["iteration"] == 1
    assert loss in document["error"]["message"]
    assert document["latest"] == {"loss": loss}
    assert isinstance(document["best"]["loss"], float)
    recorded = losses(service, job_id)
    assert (len(recorded), recorded[1]) == (2, loss)
    answer = service.http.get(f"/v1/jobs/{job_id}/iterations/1?parameters=0.weight")
    assert (answer.status_code, answer.json()["parameters"]["0.weight"]["value"]) == (
        200,
        [["Infinity"]],
    )
