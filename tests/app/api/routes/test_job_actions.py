"""What a job can be told over HTTP, while no worker takes it: states, changes, mistakes."""

import json
from typing import Any

import pytest

from tests.app.conftest import Connect
from tests.app.talk import FOR_EVER, TINY, Document, finished, job, mistakes, posted, problem
from tests.service import Service


def asked(service: Service, job_id: str, verb: str, **body: Any) -> Document:
    answer = service.http.post(f"/v1/jobs/{job_id}/{verb}", json=body or None)
    assert answer.status_code == 202, answer.text
    document: Document = answer.json()
    return document


def changed(service: Service, job_id: str, **changes: Any) -> Document:
    answer = service.http.patch(f"/v1/jobs/{job_id}", json=changes)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    assert document == job(service, job_id)
    return document


def test_a_waiting_job_pauses_at_once_and_waits_again_when_resumed(api: Service) -> None:
    job_id = posted(api, TINY)
    paused = asked(api, job_id, "pause")
    assert (paused["state"], paused["state_reason"]) == ("paused", "paused on request")
    assert paused["queue"] is None
    again = api.http.post(f"/v1/jobs/{job_id}/pause")
    detail = problem(again, 409, "state_conflict")["detail"]
    assert detail == "a job that is paused cannot be paused; it can be resumed or cancelled"
    resumed = asked(api, job_id, "resume")
    assert (resumed["state"], resumed["queue"]["reason"]) == ("queued", "waiting_for_a_worker")
    refused = api.http.post(f"/v1/jobs/{job_id}/resume")
    assert "it can be paused or cancelled" in problem(refused, 409, "state_conflict")["detail"]


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "fork"])
def test_what_is_told_to_nobody_is_told_to_an_unknown_job(
    verb: str, api: Service, tenant: Connect
) -> None:
    body = {"iteration": 0}
    unknown = api.http.post(f"/v1/jobs/job_0/{verb}", json=body)
    others = tenant(api).post(f"/v1/jobs/{posted(api, TINY)}/{verb}", json=body)
    for answer in (unknown, others):
        problem(answer, 404, "not_found")


def test_a_job_for_a_device_that_no_worker_has_says_so(api: Service) -> None:
    waiting = job(api, posted(api, TINY, device="cuda"))
    assert waiting["queue"]["reason"] == "no_worker_with_this_device"


# -- changes


def test_priority_and_metadata_of_a_waiting_job_can_be_changed(api: Service) -> None:
    first, second = posted(api, TINY, metadata={"a": "1"}), posted(api, TINY)
    before = job(api, second)["queue"]["position"]
    document = changed(api, first, priority=-5, metadata={"b": "2"})
    assert document["metadata"] == {"b": "2"}
    assert document["interventions"] == []
    assert job(api, second)["queue"]["position"] == before - 1
    assert changed(api, first)["metadata"] == {"b": "2"}


def test_a_change_of_course_is_logged_with_the_iteration_it_applies_to(api: Service) -> None:
    job_id = posted(api, TINY)
    changed(api, job_id, lr=0.5)
    document = changed(api, job_id, lr=0.25, iterations=7)
    assert document["progress"]["iterations"] == 7
    assert document["spec"]["optimizer"]["lr"] == 0.1
    log = [(entry["iteration"], entry["changes"]) for entry in document["interventions"]]
    assert log == [(0, {"lr": 0.5}), (0, {"lr": 0.25, "iterations": 7})]


WRONG: list[tuple[Any, dict[str, str]]] = [
    (
        {"priority": 1001, "metadata": {"a": 1}, "lr": 0, "iterations": 0, "layers": 3},
        {
            "/priority": "out_of_range",
            "/metadata/a": "wrong_type",
            "/lr": "out_of_range",
            "/iterations": "out_of_range",
            "/layers": "unknown_field",
        },
    ),
    ({"lr": None}, {"/lr": "wrong_type"}),
    ({"lr": float("nan")}, {"/lr": "not_finite"}),
    ([], {"": "wrong_type"}),
]


@pytest.mark.parametrize(("body", "expected"), WRONG)
def test_every_mistake_in_a_change_comes_at_once(
    body: Any, expected: dict[str, str], api: Service
) -> None:
    job_id = posted(api, TINY)
    before = job(api, job_id)
    answer = api.http.patch(
        f"/v1/jobs/{job_id}", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    found = mistakes(answer, "invalid_changes")
    assert {at: code for at, (code, _) in found.items()} == expected
    assert job(api, job_id) == before


def test_more_iterations_than_the_limit_and_a_rate_beside_one_cycle_are_refused(
    api: Service,
) -> None:
    cycle = {"type": "one_cycle", "max_lr": 0.1}
    job_id = posted(api, TINY, schedule=cycle)
    many = api.http.patch(f"/v1/jobs/{job_id}", json={"iterations": 100_000_001})
    assert mistakes(many, "invalid_request")["/iterations"][0] == "limit_exceeded"
    rate = api.http.patch(f"/v1/jobs/{job_id}", json={"lr": 0.1})
    assert "rate of its own" in mistakes(rate, "invalid_request")["/lr"][1]


def test_of_a_job_that_has_ended_only_the_metadata_can_be_changed(api: Service) -> None:
    job_id = posted(api, TINY)
    asked(api, job_id, "cancel")
    assert changed(api, job_id, metadata={"note": "no"})["metadata"] == {"note": "no"}
    for change in ({"priority": 1}, {"lr": 0.1}, {"iterations": 9, "metadata": {}}):
        answer = api.http.patch(f"/v1/jobs/{job_id}", json=change)
        assert "has ended" in problem(answer, 409, "state_conflict")["detail"]
    assert job(api, job_id)["metadata"] == {"note": "no"}


# -- retry and fork


def test_only_what_failed_or_was_cancelled_can_be_retried(
    service: Service, one_weight: Document
) -> None:
    answer = service.http.post(f"/v1/jobs/{one_weight['id']}/retry")
    assert "it can be forked" in problem(answer, 409, "state_conflict")["detail"]
    running = posted(service, FOR_EVER)
    answer = service.http.post(f"/v1/jobs/{running}/retry")
    assert "has not ended" in problem(answer, 409, "state_conflict")["detail"]
    asked(service, running, "cancel")


def test_a_job_that_never_began_is_retried_from_its_start(api: Service) -> None:
    job_id = posted(api, TINY, metadata={"a": "1"}, name="n")
    changed(api, job_id, lr=0.3, priority=4, metadata={"b": "2"})
    asked(api, job_id, "cancel")
    again = asked(api, job_id, "retry")
    assert (again["retry_of"], again["name"], again["state"]) == (job_id, "n", "queued")
    assert [entry["changes"] for entry in again["interventions"]] == [{"lr": 0.3}]
    assert again["metadata"] == {"b": "2"}
    assert again["progress"]["iteration"] == 0


FORKS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"iteration": -1}, {"/iteration": "out_of_range"}),
    ({}, {"/iteration": "missing"}),
    ({"iteration": 1, "change": {}}, {"/change": "unknown_field"}),
    ({"iteration": 1, "changes": []}, {"/changes": "wrong_type"}),
]
CHANGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    (
        {"optimizer": {"lr": -1}, "batchsize": 3},
        {"optimizer/lr": "out_of_range", "batchsize": "unknown_field"},
    ),
    ({"optimizer": {"type": "adam"}}, {"optimizer/type": "not_changeable"}),
    ({"optimizer": {"momentum": 0.9}}, {"optimizer/momentum": "not_changeable"}),
    ({"seed": 1, "dataset": {"x": [[2.0]]}}, {"dataset": "not_changeable"}),
    ({"model": [{"type": "linear", "out_features": 1}]}, {"model": "not_changeable"}),
    (
        {"device": "cpu", "deterministic": True},
        {"device": "not_changeable", "deterministic": "not_changeable"},
    ),
    ({"iterations": 10}, {"iterations": "out_of_range"}),
    ({"iterations": 10, "epochs": 10}, {"epochs": "conflict"}),
    ({"loss": "cross_entropy"}, {"": "wrong_type"}),
]


@pytest.mark.parametrize(("body", "expected"), FORKS)
def test_every_mistake_in_the_form_of_a_fork_comes_at_once(
    body: dict[str, Any], expected: dict[str, str], service: Service, one_weight: Document
) -> None:
    found = mistakes(fork(service, one_weight, body), "invalid_changes")
    assert {at: code for at, (code, _) in found.items()} == expected


@pytest.mark.parametrize(("changes", "expected"), CHANGES)
def test_what_a_fork_cannot_change_is_pointed_at(
    changes: dict[str, Any], expected: dict[str, str], service: Service, one_weight: Document
) -> None:
    answer = fork(service, one_weight, {"iteration": 20, "changes": changes})
    document = problem(answer, 422, answer.json()["code"])
    found = {mistake["pointer"]: mistake["code"] for mistake in document["errors"]}
    assert found == {f"/changes/{at}".rstrip("/"): code for at, code in expected.items()}


def fork(service: Service, parent: Document, body: Any) -> Any:
    return service.http.post(f"/v1/jobs/{parent['id']}/fork", json=body)


def test_a_job_cannot_be_forked_where_it_has_not_been(api: Service) -> None:
    answer = fork(api, {"id": posted(api, TINY)}, {"iteration": 1})
    detail = problem(answer, 409, "state_conflict")["detail"]
    assert detail == "the job has recorded 0 iterations, so it cannot be forked at 1"


def test_a_fork_of_a_job_at_its_start_needs_no_checkpoint(
    service: Service, one_weight: Document
) -> None:
    answer = fork(service, one_weight, {"iteration": 0, "changes": {"optimizer": {"lr": 0.05}}})
    child = finished(service, answer.json()["id"])
    assert child["state"] == "succeeded"
    assert child["spec"] == one_weight["spec"] | {
        "optimizer": one_weight["spec"]["optimizer"] | {"lr": 0.05}
    }
    assert child["forked_from"] == {"job": one_weight["id"], "iteration": 0}
