"""Numbers that a worker could not compute with stay out, at every door; all others get through."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from app.tables import Job
from tests.app.conftest import database_of
from tests.app.talk import TINY, Document, finished, job, mistakes, posted, problem
from tests.service import Service
from training.catalog.numbers import FLOAT32

JSON = {"Content-Type": "application/json"}
LARGE = "must be at most 3.40e+38 in size: float32 holds no more"
SMALL = "is too near to 0: the smallest size that float32 computes with is 1.18e-38"
WRITTEN = {"1e300": LARGE, "9" * 400: LARGE, "5e-324": SMALL, "1e-320": SMALL, "1e-39": SMALL}
LINEAR = {"type": "linear", "out_features": 1}
SECTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "rate": ({"optimizer": {"type": "sgd", "lr": "@"}}, "/optimizer/lr"),
    "schedule": ({"schedule": {"type": "one_cycle", "max_lr": "@"}}, "/schedule/max_lr"),
    "layer": ({"model": [{"type": "softplus", "beta": "@"}, LINEAR]}, "/model/0/beta"),
    "loss": ({"loss": {"type": "smooth_l1_loss", "beta": "@"}}, "/loss/beta"),
    "clipping": ({"clip_grad_norm": "@"}, "/clip_grad_norm"),
}
"""Numbers of all kinds; ``@`` stands for one."""


def doors(api: Service, changes: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Every way in for a specification: path, body, and what stands before the pointer."""
    whole = {**TINY, **changes}
    yield "/v1/jobs", whole, ""
    yield "/v1/jobs/validate", whole, ""
    yield "/v1/jobs/batch", {"jobs": [TINY, whole]}, "/jobs/1"
    yield "/v1/jobs/batch", {"base": whole, "changes": [{}]}, "/base"
    yield "/v1/jobs/batch", {"base": TINY, "changes": [{}, changes]}, "/changes/1"
    parent = posted(api, TINY)
    yield f"/v1/jobs/{parent}/fork", {"iteration": 0, "changes": changes}, "/changes"


def sent(api: Service, method: str, path: str, body: Any, number: str) -> httpx2.Response:
    """The answer to a body with a number in it, as it is written."""
    content = json.dumps(body).replace('"@"', number)
    return api.http.request(method, path, content=content, headers=JSON)


def outcome(document: Document) -> str:
    """The state of a job that has ended, or why it failed."""
    return str(document["error"]["category"] if document["error"] else document["state"])


@pytest.mark.parametrize("written", WRITTEN, ids=lambda text: text[:8])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_number_that_float32_cannot_hold_is_refused_at_every_door(
    section: str, written: str, api: Service
) -> None:
    changes, pointer = SECTIONS[section]
    for path, body, before in doors(api, changes):
        found = mistakes(sent(api, "POST", path, body, written))
        assert found == {f"{before}{pointer}": ["out_of_range", WRITTEN[written]]}, path


@pytest.mark.parametrize("written", WRITTEN, ids=lambda text: text[:8])
def test_a_rate_that_float32_cannot_hold_changes_no_job(written: str, api: Service) -> None:
    job_id = posted(api, TINY)
    answer = sent(api, "PATCH", f"/v1/jobs/{job_id}", {"lr": "@"}, written)
    assert mistakes(answer, "invalid_changes") == {"/lr": ["out_of_range", WRITTEN[written]]}
    assert job(api, job_id)["interventions"] == []


@pytest.mark.parametrize("number", [FLOAT32.smallest, 1.2e-38, 3e38, FLOAT32.largest])
def test_a_number_at_a_bound_reaches_the_worker(number: float, service: Service) -> None:
    specification = {
        **TINY,
        "model": [{"type": "elu", "alpha": number}, LINEAR],
        "optimizer": {"type": "adam", "lr": number, "eps": number},
        "clip_grad_norm": number,
    }
    document = finished(service, posted(service, specification))
    assert outcome(document) in ("succeeded", "diverged"), document
    waiting = posted(service, TINY, device="cuda")  # for which there is no worker
    assert service.http.patch(f"/v1/jobs/{waiting}", json={"lr": number}).status_code == 200
    body = {"iteration": 0, "changes": {"optimizer": {"lr": number}}}
    fork = service.http.post(f"/v1/jobs/{document['id']}/fork", json=body)
    assert fork.status_code == 202, fork.text
    document = finished(service, fork.json()["id"])
    assert outcome(document) in ("succeeded", "diverged"), document


@pytest.mark.parametrize("number", [FLOAT32.smallest, FLOAT32.largest])
def test_a_rate_at_a_bound_is_taken_by_a_job_on_its_way(number: float, service: Service) -> None:
    job_id = posted(service, TINY, iterations=100_000_000)
    answer = service.http.patch(f"/v1/jobs/{job_id}", json={"lr": number, "iterations": 10_000_000})
    assert answer.status_code == 200, answer.text
    service.http.get(f"/v1/jobs/{job_id}?wait=30&after={answer.json()['progress']['iteration']}")
    service.http.post(f"/v1/jobs/{job_id}/cancel")
    document = finished(service, job_id)
    assert outcome(document) in ("cancelled", "diverged"), document


@pytest.mark.parametrize("prepare", ["standardize", "min_max", "none"])
def test_data_that_are_too_near_to_0_are_rounded(prepare: str, service: Service) -> None:
    values = [0.0, 5e-324, -1e-320, 1e-310, 1e-160, 1e-40, -1e-39, FLOAT32.smallest]
    dataset = {"x": [[value, 1.0] for value in values], "y": [[value] for value in values]}
    document = finished(service, posted(service, TINY, dataset=dataset, prepare=prepare))
    assert document["state"] == "succeeded", document


def test_data_that_are_too_large_are_pointed_at(api: Service) -> None:
    for number in (1e39, -1e300, 10**400):
        dataset = {"x": [[1.0], [number]], "y": [[number], [2.0]]}
        found = mistakes(api.http.post("/v1/jobs", json={**TINY, "dataset": dataset}))
        wrong = ["not_finite", LARGE]
        assert found == {"/dataset/x/1/0": wrong, "/dataset/y/0/0": wrong}


def test_labels_of_any_size_reach_the_worker(service: Service) -> None:
    labels = [2**70, -(2**63) - 1, 3]
    specification = {
        **TINY,
        "dataset": {"x": [[0.1], [0.2], [0.3]], "y": labels},
        "model": [{"type": "linear", "out_features": 3}],
        "loss": "cross_entropy",
    }
    document = finished(service, posted(service, specification))
    assert document["state"] == "succeeded", document


def test_what_is_not_accepted_any_more_is_told_to_who_would_compute_it_again(
    service: Service,
) -> None:
    job_id = finished(service, posted(service, TINY))["id"]
    with database_of(service) as database, database.session() as session:
        spec = job(service, job_id)["spec"]
        spec["optimizer"]["lr"] = 1e-39
        session.execute(update(Job).where(Job.id == job_id).values(spec=spec))
    place = f"/v1/jobs/{job_id}"
    for method, path, body in (
        ("POST", f"{place}/fork", {"iteration": 0}),
        ("GET", f"{place}/iterations/1", None),
        ("GET", f"{place}/examples", None),
        ("POST", f"{place}/verify", None),
    ):
        answer = service.http.request(method, path, json=body)
        assert problem(answer, 409, "state_conflict")["detail"] == (
            f"the specification of the job is not accepted any more: /optimizer/lr: {SMALL}"
        )
