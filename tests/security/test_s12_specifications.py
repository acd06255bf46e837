"""S12: a specification that is legal in every word and would ruin us is refused, by its limit."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.talk import DIGITS, FOR_EVER, TINY, mistakes, posted, problem
from tests.security.by_hand import SOON, Watched
from tests.service import Service

MOST = 100 << 20
LINEAR = {"type": "linear", "out_features": 10}
WIDE = {"type": "linear", "out_features": 10**6}
CONV = {"type": "conv2d", "out_channels": 10**6, "kernel_size": 3}
EMBEDDING = {"type": "embedding", "num_embeddings": 10**6, "embedding_dim": 10**6}
NO_NUMBER = ["not_finite", "must be a finite number, not NaN or Inf"]
INTEGERS = {"x": [[0], [1]], "y": [0, 1]}

RUINOUS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "iterations": (
        {"iterations": 10**12},
        "/iterations",
        ["limit_exceeded", f"{10**12} iterations are more than the 100000000 allowed"],
    ),
    "one iteration too many": (
        {"iterations": 100_000_001},
        "/iterations",
        ["limit_exceeded", "100000001 iterations are more than the 100000000 allowed"],
    ),
    "epochs": (
        {"iterations": None, "epochs": 10**12},
        "/epochs",
        ["limit_exceeded", f"{1258 * 10**12 // 64} iterations are more than the 100000000 allowed"],
    ),
    "wide layers": (
        {"model": [WIDE, WIDE, LINEAR]},
        "/model",
        ["limit_exceeded", "parameters are more than the 200000000 allowed"],
    ),
    "wide layers in a block": (
        {"model": [{"type": "residual", "layers": [WIDE, WIDE]}, LINEAR]},
        "/model",
        ["limit_exceeded", "parameters are more than the 200000000 allowed"],
    ),
    "many channels": (
        {"model": [CONV, CONV, LINEAR]},
        "/model",
        ["limit_exceeded", "parameters are more than the 200000000 allowed"],
    ),
    "a wide embedding": (
        {"dataset": INTEGERS, "model": [EMBEDDING, LINEAR], "split": {}},
        "/model",
        ["limit_exceeded", "parameters are more than the 200000000 allowed"],
    ),
    "many layers": (
        {"model": ["relu"] * 1000 + [LINEAR]},
        "/model",
        ["limit_exceeded", "1001 layers are more than the 1000 allowed"],
    ),
    "many layers in blocks": (
        {"model": [{"type": "residual", "layers": ["relu"] * 100}] * 10 + [LINEAR]},
        "/model",
        ["limit_exceeded", "1011 layers are more than the 1000 allowed"],
    ),
    "a large batch": (
        {"batch_size": 10**12},
        "/batch_size",
        ["out_of_range", "must be at most 1000000 or 'full'"],
    ),
    "much data": (
        {"dataset": {"x": [0.5] * 60_000, "y": [0, 1] * 30_000}, "split": {}},
        "/dataset",
        ["limit_exceeded", "120000 values are more than the 100000 allowed inline"],
    ),
}
NAN: dict[str, tuple[dict[str, Any], str]] = {
    "rate": ({"optimizer": {"type": "sgd", "lr": "@"}}, "/optimizer/lr"),
    "momentum": ({"optimizer": {"type": "sgd", "lr": 0.1, "momentum": "@"}}, "/optimizer/momentum"),
    "decay": ({"optimizer": {"type": "adamw", "weight_decay": "@"}}, "/optimizer/weight_decay"),
    "beta": ({"optimizer": {"type": "adam", "betas": [0.9, "@"]}}, "/optimizer/betas/1"),
    "schedule": ({"schedule": {"type": "exponential", "gamma": "@"}}, "/schedule/gamma"),
    "smoothing": (
        {"loss": {"type": "cross_entropy", "label_smoothing": "@"}},
        "/loss/label_smoothing",
    ),
    "dropout": ({"model": [{"type": "dropout", "p": "@"}, LINEAR]}, "/model/0/p"),
    "init": (
        {"model": [{**LINEAR, "init": {"type": "constant", "value": "@"}}]},
        "/model/0/init/value",
    ),
    "clipping": ({"clip_grad_norm": "@"}, "/clip_grad_norm"),
    "tolerance": ({"convergence": {"tolerance": "@"}}, "/convergence/tolerance"),
    "delta": ({"early_stopping": {"patience": 1, "min_delta": "@"}}, "/early_stopping/min_delta"),
    "split": ({"split": {"validation": "@"}}, "/split/validation"),
    "time": ({"time_limit_seconds": "@"}, "/time_limit_seconds"),
    "checkpoints": ({"checkpoint_every_seconds": "@"}, "/checkpoint_every_seconds"),
    "data": ({"dataset": {"x": [1.0, "@"], "y": [0, 1]}, "split": {}}, "/dataset/x/1"),
}
"""Every number that could be none; ``@`` stands for it."""


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in {**DIGITS, **changes}.items() if v is not None}


def doors(specification: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every way in for a specification: path, body, and what stands before the pointer."""
    text = json.dumps(specification)
    yield "/v1/jobs", text, ""
    yield "/v1/jobs/validate", text, ""
    yield "/v1/jobs/batch", f'{{"jobs": [{json.dumps(TINY)}, {text}]}}', "/jobs/1"
    yield "/v1/jobs/batch", f'{{"base": {text}, "changes": [{{}}]}}', "/base"


@pytest.mark.parametrize("name", RUINOUS)
def test_what_would_ruin_us_is_refused_by_its_limit_at_every_door(name: str, api: Service) -> None:
    changes, pointer, (code, sentence) = RUINOUS[name]
    headers = {"Content-Type": "application/json"}
    for path, body, before in doors(changed(changes)):
        with Watched(api) as watched:
            answer = api.http.post(path, content=body, headers=headers)
        found = problem(answer, 422, "invalid_specification")["errors"]
        said = [
            m["message"] for m in found if (m["pointer"], m["code"]) == (before + pointer, code)
        ]
        assert any(message.endswith(sentence) for message in said), (path, found)
        assert answer.elapsed.total_seconds() < SOON
        assert watched.grown < MOST


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("name", NAN)
def test_what_is_no_finite_number_is_refused_where_it_stands(
    name: str, written: str, api: Service
) -> None:
    changes, pointer = NAN[name]
    body = json.dumps(changed(changes)).replace('"@"', written)
    headers = {"Content-Type": "application/json"}
    found = mistakes(api.http.post("/v1/jobs", content=body, headers=headers))
    assert found == {pointer: NO_NUMBER}


def test_a_job_that_is_there_cannot_be_made_ruinous(api: Service) -> None:
    place = f"/v1/jobs/{posted(api, FOR_EVER, iterations=3)}"
    sentence = f"{10**12} iterations are more than the 100000000 allowed"
    answer = api.http.patch(place, json={"iterations": 10**12})
    assert mistakes(answer, "invalid_request") == {"/iterations": ["limit_exceeded", sentence]}
    answer = api.http.patch(
        place, content=b'{"lr": NaN}', headers={"Content-Type": "application/json"}
    )
    assert mistakes(answer, "invalid_changes") == {"/lr": NO_NUMBER}
    for changes, pointer in (
        ({"iterations": 10**12}, "/changes/iterations"),
        ({"model": [WIDE, WIDE, LINEAR], "loss": "mse_loss"}, "/changes/model"),
    ):
        answer = api.http.post(f"{place}/fork", json={"iteration": 0, "changes": changes})
        assert mistakes(answer)[pointer][0] == "limit_exceeded"
    assert api.http.get(place).json()["progress"]["iterations"] == 3


def test_the_limits_are_reached_and_not_passed(api: Service) -> None:
    posted(api, FOR_EVER)  # of exactly so many iterations
    answer = api.http.post("/v1/jobs", json={**FOR_EVER, "iterations": 100_000_001})
    problem(answer, 422, "invalid_specification")
