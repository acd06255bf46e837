"""Any iteration again, over HTTP."""

from typing import Any

import pytest

from tests.app.conftest import Connect
from tests.app.talk import (
    DIGITS,
    TINY,
    Document,
    finished,
    losses,
    mistakes,
    posted,
    problem,
)
from tests.servers import eventually
from tests.service import Service
from tests.specifications import ONE_WEIGHT, Specification


def iteration(service: Service, job: Document, n: int, **query: Any) -> Document:
    answer = service.http.get(f"/v1/jobs/{job['id']}/iterations/{n}", params=query)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def test_the_job_of_one_weight_follows_its_closed_forms_for_fifty_iterations(
    service: Service, one_weight: Document
) -> None:
    recorded = losses(service, one_weight["id"])
    assert recorded == pytest.approx([4 * 0.64**n for n in range(50)], abs=1e-6)
    for n in range(50):
        seen = iteration(service, one_weight, n, parameters="0.weight")
        weight = seen["parameters"]["0.weight"]
        assert (seen["iteration"], seen["loss"], seen["lr"]) == (n, recorded[n], 0.1)
        assert seen["exact"] is True
        assert weight["shape"] == [1, 1]
        assert weight["value"] == [[pytest.approx(4 - 2 * 0.8**n, abs=1e-6)]]
        assert weight["gradient"] == [[pytest.approx(-4 * 0.8**n, abs=1e-6)]]
        assert weight["update"] == [[pytest.approx(0.4 * 0.8**n, abs=1e-6)]]


def test_after_the_last_update_there_is_a_state_and_nothing_further(
    service: Service, one_weight: Document
) -> None:
    seen = iteration(service, one_weight, 50, parameters="0.weight")
    assert (seen["loss"], seen["lr"], seen["exact"]) == (None, None, True)
    weight = seen["parameters"]["0.weight"]
    assert weight == {"shape": [1, 1], "value": [[pytest.approx(4 - 2 * 0.8**50, abs=1e-6)]]}


def test_one_element_is_addressed_as_in_pytorch(service: Service, digits: Document) -> None:
    seen = iteration(service, digits, 30, parameters="0.weight[3,20],0.bias,0.bias[9]")
    seen = seen["parameters"]
    assert set(seen) == {"0.weight[3,20]", "0.bias", "0.bias[9]"}
    whole = iteration(service, digits, 30, parameters="0.weight")["parameters"]["0.weight"]
    element = seen["0.weight[3,20]"]
    assert (whole["shape"], element["shape"]) == ([10, 64], [])
    for kind in ("value", "gradient", "update"):
        assert element[kind] == whole[kind][3][20]
        assert seen["0.bias[9]"][kind] == seen["0.bias"][kind][9]


def test_without_parameters_each_is_summed_up(service: Service, digits: Document) -> None:
    seen = iteration(service, digits, 30)
    assert set(seen["parameters"]) == {"0.weight", "0.bias"}
    whole = iteration(service, digits, 30, parameters="0.bias")["parameters"]["0.bias"]
    summary = seen["parameters"]["0.bias"]
    assert summary["shape"] == [10]
    for kind in ("value", "gradient", "update"):
        values = whole[kind]
        assert summary[kind] == pytest.approx(
            {
                "mean": sum(values) / 10,
                "std": (sum((v - sum(values) / 10) ** 2 for v in values) / 10) ** 0.5,
                "min": min(values),
                "max": max(values),
                "norm": sum(v * v for v in values) ** 0.5,
            },
            rel=1e-6,
            abs=1e-12,
        )


def test_the_loss_of_a_replay_is_the_recorded_one_to_the_bit(
    service: Service, digits: Document
) -> None:
    recorded = losses(service, digits["id"])
    for n in (0, 8, 59):
        seen = iteration(service, digits, n)
        assert (seen["loss"], seen["exact"]) == (recorded[n], True)


def test_updates_lead_from_one_iteration_to_the_next(service: Service, digits: Document) -> None:
    here, there = (
        iteration(service, digits, n, parameters="0.bias")["parameters"]["0.bias"] for n in (40, 41)
    )
    moved = [value + update for value, update in zip(here["value"], here["update"], strict=True)]
    assert there["value"] == pytest.approx(moved, abs=1e-6)


def test_an_iteration_that_has_not_run_is_a_conflict(
    service: Service, one_weight: Document
) -> None:
    answer = service.http.get(f"/v1/jobs/{one_weight['id']}/iterations/51")
    detail = problem(answer, 409, "state_conflict")["detail"]
    assert detail == "the job has recorded 50 iterations, so 51 is not known yet"


@pytest.mark.parametrize(
    ("wanted", "code", "sentence"),
    [
        ("0.weigth", "unknown_name", "`0.weigth`: did you mean `0.weight`?"),
        ("0.weight,1.bias", "unknown_name", "`1.bias`: known are 0.weight"),
        (
            "0.weight[0,1]",
            "out_of_range",
            "`0.weight` has shape [1, 1], which has no element [0, 1]",
        ),
        ("0.weight[0]", "out_of_range", "`0.weight` has shape [1, 1], which has no element [0]"),
        ("", "wrong_type", "must look like `0.weight,2.weight[1,2]`"),
        ("0.weight[", "wrong_type", "must look like `0.weight,2.weight[1,2]`"),
        ("0.weight[-1,0]", "wrong_type", "must look like `0.weight,2.weight[1,2]`"),
        (f"0.weight[{'9' * 5000},0]", "wrong_type", "must look like `0.weight,2.weight[1,2]`"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(
    wanted: str, code: str, sentence: str, service: Service, one_weight: Document
) -> None:
    path = f"/v1/jobs/{one_weight['id']}/iterations/1"
    answer = service.http.get(path, params={"parameters": wanted})
    assert mistakes(answer, "unknown_parameter") == {"/parameters": [code, sentence]}


WIDE = {
    **DIGITS,
    "model": [{"type": "linear", "out_features": 1600}, {"type": "linear", "out_features": 10}],
}


@pytest.mark.parametrize(
    ("specification", "size"),
    [({**TINY, "iterations": 10_001}, "1 and 10001"), (WIDE, "120010 and 60")],
    ids=["iterations", "parameters"],
)
def test_a_job_that_is_too_large_for_replay_says_so(
    specification: Specification, size: str, api: Service
) -> None:
    answer = api.http.get(f"/v1/jobs/{posted(api, specification)}/iterations/0")
    assert problem(answer, 422, "replay_too_large")["detail"] == (
        f"replay is limited to 100000 parameters and 10000 iterations; this job has {size}"
    )


@pytest.mark.parametrize("n", ["-1", "x", "2147483648", "1.5"])
def test_an_iteration_is_a_small_whole_number(n: str, api: Service) -> None:
    answer = api.http.get(f"/v1/jobs/job_any/iterations/{n}")
    assert list(mistakes(answer, "invalid_request")) == ["/n"]


def test_an_answer_that_takes_longer_is_a_task(
    service: Service, one_weight: Document, another_api: Connect
) -> None:
    hurried = another_api(replay_wait_seconds=1e-9)
    path = f"/v1/jobs/{one_weight['id']}/iterations/20"
    answer = hurried.get(path, params={"parameters": "0.weight"})
    task = answer.json()
    assert answer.status_code == 202
    assert set(task) == {
        *("id", "object", "job", "state", "result", "error", "created_at", "finished_at")
    }
    assert task["id"].startswith("task_")
    assert answer.headers["Location"] == f"/v1/tasks/{task['id']}"
    assert (task["object"], task["job"]) == ("task", one_weight["id"])
    assert (task["state"], task["result"], task["finished_at"]) == ("queued", None, None)
    place = answer.headers["Location"]
    eventually(lambda: service.http.get(place).json()["finished_at"], "the task is answered", 30)
    done = service.http.get(place).json()
    assert (done["state"], done["error"]) == ("succeeded", None)
    assert done["result"] == iteration(service, one_weight, 20, parameters="0.weight")


def test_an_unknown_task_is_not_found(api: Service) -> None:
    problem(api.http.get("/v1/tasks/task_unknown"), 404, "not_found")


def test_the_past_of_a_diverged_job_can_be_had_again(service: Service) -> None:
    steep = {**ONE_WEIGHT, "name": "bounces", "optimizer": {"type": "sgd", "lr": 30.0}}
    document = finished(service, posted(service, steep))
    last = document["error"]["iteration"]
    seen = iteration(service, document, last, parameters="0.weight")
    assert (seen["loss"], seen["exact"]) == (losses(service, document["id"])[last], True)
    before = iteration(service, document, last - 1, parameters="0.weight")["parameters"]["0.weight"]
    weight = seen["parameters"]["0.weight"]["value"][0][0]
    assert weight == pytest.approx(before["value"][0][0] + before["update"][0][0], rel=1e-6)
