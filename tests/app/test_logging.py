"""Structured logs: one request can be followed from the API to the worker."""

import json

from app.logging import line
from tests.app.conftest import log_of, logged
from tests.app.talk import TINY, finished
from tests.service import Service


def test_the_lines_of_a_job_carry_its_request_in_the_api_and_in_the_worker(
    service: Service,
) -> None:
    answer = service.http.post("/v1/jobs", json=TINY, headers={"X-Request-Id": "follow-me"})
    job_id = answer.json()["id"]
    finished(service, job_id)
    request = json.loads(logged(service, "app", "follow-me", '"event":"request"'))
    assert (request["method"], request["route"], request["status"]) == ("POST", "/v1/jobs", 202)
    assert request["milliseconds"] >= 0
    for event in ("job begins", "job ended"):
        line = json.loads(logged(service, "worker", "follow-me", event))
        assert (line["request_id"], line["job_id"]) == ("follow-me", job_id)
        assert line["tenant_id"].startswith("tnt_")
        assert line["level"] == "info"


def test_a_question_to_a_worker_can_be_followed_too(
    service: Service, one_weight: dict[str, str]
) -> None:
    path = f"/v1/jobs/{one_weight['id']}/iterations/1"
    service.http.get(path, headers={"X-Request-Id": "ask-me"})
    line = json.loads(logged(service, "app", "ask-me", '"event":"request"'))
    assert line["route"] == "/v1/jobs/{job_id}/iterations/{n}"


def test_every_line_of_the_api_is_json_with_a_time_a_level_and_an_event(service: Service) -> None:
    service.http.get("/healthz")
    lines = [json.loads(line) for line in log_of(service, "app").read_text().splitlines()]
    assert lines
    assert all({"timestamp", "level", "event"} <= set(line) for line in lines)


def test_neither_queries_nor_bodies_are_logged(service: Service) -> None:
    headers = {"X-Request-Id": "secretive"}
    service.http.get("/v1/jobs?after=hidden-in-the-query", headers=headers)
    labels = {"patient": "hidden-in-the-body"}
    service.http.post("/v1/jobs", json={**TINY, "metadata": labels}, headers=headers)
    logged(service, "app", "secretive", "POST")
    log = log_of(service, "app").read_text()
    assert "hidden-in-the" not in log


def test_what_no_fast_writer_takes_is_logged_all_the_same() -> None:
    assert json.loads(line({"half": "\ud800", "large": 2**70})) == {
        "half": "\ud800",
        "large": 2**70,
    }
