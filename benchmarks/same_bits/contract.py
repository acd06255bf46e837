"""What a client sees of a tree beside its jobs: documents, refusals, and the figures' names."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.same_bits.json_difference import differences, first_lines
from benchmarks.same_bits.service import Document, Service

DOCUMENTS = ("/openapi.json", "/v1/catalog", "/v1/catalog/schema")
TOO_LARGE = b" " * 10_000_001
WRONG: Document = {
    "dataset": "irises",
    "model": [{"type": "linear", "out_feature": 3}, "rely", {"type": "linear", "out_features": 0}],
    "loss": {"type": "cross_entropy", "label_smoothing": 2},
    "optimizer": {"type": "sgd", "lr": -1, "nesterov": True},
    "iterations": 5,
    "epochs": 5,
    "batch": 3,
}
UNFIT: Document = {
    "dataset": "diabetes",
    "model": [{"type": "conv2d", "out_channels": 2, "kernel_size": 3}],
    "loss": "cross_entropy",
    "optimizer": "adam",
    "early_stopping": {"metric": "validation_los", "patience": 2},
}


class Contract(NamedTuple):
    """The bytes of each document, the answers to bad requests, and the Prometheus metrics."""

    documents: dict[str, bytes]
    refusals: dict[str, Any]
    metrics: dict[str, Any]


def read_contract(service: Service, job_id: str) -> Contract:
    """Ask a service for all of it; `job_id`: a job that has succeeded."""
    documents = {path: service.ask("GET", path).content for path in DOCUMENTS}
    refusals = {name: refusal(service, *request) for name, request in bad_requests(job_id)}
    # Last: a family without a sample shows no label.
    return Contract(documents, refusals, read_metrics(service.ask("GET", "/metrics").text))


def read_metrics(exposition: str) -> dict[str, Any]:
    """The kind and the label names of each sample of an exposition in Prometheus' text format."""
    found = dict[str, Any]()
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            labels = set(found.get(sample.name, {}).get("labels", ())) | set(sample.labels)
            found[sample.name] = {"kind": family.type, "labels": sorted(labels)}
    return found


Request = tuple[str, str, dict[str, Any]]


def bad_requests(job_id: str) -> Iterator[tuple[str, Request]]:
    """Requests that every tree must refuse in the same way, each with a name."""
    job = f"/v1/jobs/{job_id}"
    texts = {"Content-Type": "text/plain"}
    json_text = {"Content-Type": "application/json"}
    yield "no key", ("GET", "/v1/jobs", {"headers": {"Authorization": ""}})
    yield "unknown key", ("GET", "/v1/jobs", {"headers": {"Authorization": "Bearer guessed"}})
    yield "unknown host", ("GET", "/v1/jobs", {"headers": {"Host": "elsewhere.example"}})
    yield (
        "foreign origin",
        (
            "POST",
            "/v1/jobs",
            {"headers": {"Origin": "https://elsewhere.example"}, "json": {}},
        ),
    )
    yield "unknown path", ("GET", "/v1/nothing", {})
    yield "unknown job", ("GET", "/v1/jobs/job_0", {})
    yield "unknown model", ("GET", "/v1/models/nobody", {})
    yield "unknown data set", ("GET", "/v1/datasets/ds_0", {})
    yield "wrong method", ("PUT", "/v1/jobs", {})
    yield "no such form", ("GET", f"{job}/metrics", {"headers": {"Accept": "image/png"}})
    yield "unknown series", ("GET", f"{job}/metrics", {"params": {"series": "lost"}})
    yield "contradiction", ("GET", f"{job}/metrics", {"params": {"after": 5, "before": 2}})
    yield "no number", ("GET", "/v1/jobs", {"params": {"limit": "many"}})
    yield "cancel what has ended", ("POST", f"{job}/cancel", {})
    yield "retry what has succeeded", ("POST", f"{job}/retry", {})
    yield "fork beyond the end", ("POST", f"{job}/fork", {"json": {"iteration": 10**6}})
    yield (
        "fork with another model",
        (
            "POST",
            f"{job}/fork",
            {"json": {"iteration": 0, "changes": {"model": ["relu"], "prepare": "none"}}},
        ),
    )
    yield "change what has ended", ("PATCH", job, {"json": {"lr": 1.0, "iterations": 5}})
    yield "change what is not known", ("PATCH", job, {"json": {"lr": -1.0, "loss": "l1_loss"}})
    yield "changed since", ("PATCH", job, {"headers": {"If-Match": '"x"'}, "json": {"priority": 1}})
    yield "too large", ("POST", "/v1/jobs", {"content": TOO_LARGE, "headers": json_text})
    yield "no JSON by its type", ("POST", "/v1/jobs", {"content": b"{}", "headers": texts})
    yield "no JSON", ("POST", "/v1/jobs", {"content": b"{", "headers": json_text})
    yield "no object", ("POST", "/v1/jobs", {"json": [1]})
    yield "nothing given", ("POST", "/v1/jobs", {"json": {}})
    yield "many mistakes", ("POST", "/v1/jobs", {"json": WRONG})
    yield "parts that do not fit", ("POST", "/v1/jobs", {"json": UNFIT})
    yield "a bad batch", ("POST", "/v1/jobs/batch", {"json": {"jobs": [UNFIT, WRONG]}})
    yield "bad inputs", ("POST", f"{job}/predict", {"json": {"inputs": [["x"], [1.0]]}})
    yield "no such moment", ("GET", f"{job}/iterations/{10**6}", {})


def refusal(service: Service, method: str, path: str, options: dict[str, Any]) -> Any:
    """Status, code and the place and code of every mistake; sentences may be reworded."""
    answer = service.http.request(method, path, **options)
    try:
        problem = answer.json()
        mistakes = [[mistake["pointer"], mistake["code"]] for mistake in problem["errors"]]
    except (ValueError, KeyError, TypeError):
        return [answer.status_code, answer.text[:200]]
    return [answer.status_code, problem["code"], problem["retryable"], *mistakes]


def contract_differences(old: Contract, new: Contract) -> dict[str, list[str]]:
    """Each part of the contract and how it differs; an empty list where it is equal."""
    found = {
        path: document_differences(old.documents[path], new.documents[path]) for path in DOCUMENTS
    }
    found[f"{len(old.refusals)} refusals"] = first_lines(differences(old.refusals, new.refusals))
    found[f"{len(old.metrics)} metrics"] = first_lines(differences(old.metrics, new.metrics))
    return found


def document_differences(old: bytes, new: bytes) -> list[str]:
    """How two JSON documents differ, whose bytes should be equal."""
    if old == new:
        return []
    return first_lines(differences(json.loads(old), json.loads(new))) or [
        "the content is equal, but not the bytes: members come in another order"
    ]
