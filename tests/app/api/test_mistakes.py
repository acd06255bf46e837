"""Bad input over HTTP: every mistake at once, each with a pointer and a plain sentence."""

import json
from typing import Any

import pytest

from tests.app.talk import DIGITS, TINY, mistakes
from tests.service import Service
from tests.specifications import DIGITS_CNN, DIGITS_MLP

LINEAR = {"type": "linear", "out_features": 10}


@pytest.mark.parametrize(
    ("changes", "pointer", "code", "sentence"),
    [
        (
            {"model": {"layers": [{"type": "conv2", "out_channels": 3}, LINEAR]}},
            "/model/layers/0/type",
            "unknown_name",
            "`conv2`: did you mean `conv2d`?",
        ),
        ({"model": ["rellu", LINEAR]}, "/model/0", "unknown_name", "`rellu`: did you mean `relu`?"),
        (
            {"model": [{"type": "batch_norm2d"}, {"type": "conv2d", "out_channels": 2}, LINEAR]},
            "/model/1/kernel_size",
            "missing",
            "is required",
        ),
        (
            {"model": ["flatten", {"type": "conv2d", "out_channels": 2, "kernel_size": 3}, LINEAR]},
            "/model/1",
            "shape_mismatch",
            "layer 1 (conv2d): ",
        ),
        (
            {"model": {"layers": [{"type": "linear", "out_features": 7}]}},
            "/model/layers/0",
            "shape_mismatch",
            "",
        ),
        ({"loss": "mse_loss"}, "/loss", "loss_target_mismatch", ""),
        (
            {"optimizer": {"type": "sgd", "lr": 0}},
            "/optimizer/lr",
            "out_of_range",
            "must be greater than 0",
        ),
        (
            {"optimizer": {"type": "sgd", "lr": -0.1}},
            "/optimizer/lr",
            "out_of_range",
            "must be greater than 0",
        ),
        (
            {"epochs": 3},
            "/epochs",
            "conflict",
            "exactly one of `iterations` and `epochs` must be given",
        ),
        (
            {"iterations": None},
            "/iterations",
            "missing",
            "exactly one of `iterations` and `epochs` must be given",
        ),
        (
            {"learning_rate": 0.1},
            "/learning_rate",
            "unknown_field",
            "`learning_rate`: known are ",
        ),
        (
            {"optimizer": {"type": "sgd", "lr": 0.1, "momentun": 0.9}},
            "/optimizer/momentun",
            "unknown_field",
            "`momentun`: did you mean `momentum`?",
        ),
        (
            {"iterations": 100_000_001},
            "/iterations",
            "limit_exceeded",
            "100000001 iterations are more than the 100000000 allowed",
        ),
        (
            {"model": [{"type": "linear", "out_features": 4_000_000}, LINEAR]},
            "/model",
            "limit_exceeded",
            "300000010 parameters are more than the 200000000 allowed",
        ),
        (
            {"model": ["relu"] * 1000 + [LINEAR]},
            "/model",
            "limit_exceeded",
            "1001 layers are more than the 1000 allowed",
        ),
        ({"dataset": "digit"}, "/dataset", "unknown_name", "`digit`: did you mean `digits`?"),
        ({"batch_size": "ful"}, "/batch_size", "", ""),
        ({"split": {"test": 1.5}}, "/split/test", "out_of_range", "must be less than 1"),
        ({"metadata": {"a": 1}}, "/metadata/a", "wrong_type", "must be a string"),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown_field", "`a/b~c`: known are "),
        ({"name": "../x"}, "/name", "wrong_type", "may hold letters, digits"),
    ],
)
def test_a_mistake_is_pointed_at_in_a_plain_sentence(
    changes: dict[str, Any], pointer: str, code: str, sentence: str, api: Service
) -> None:
    answer = api.http.post("/v1/jobs", json={**DIGITS, **changes})
    ((where, (kind, message)),) = mistakes(answer).items()
    assert where == pointer
    assert kind == code or not code
    assert message.startswith(sentence)
    assert message


def test_a_layer_that_does_not_fit_says_what_comes_in_and_what_it_expects(api: Service) -> None:
    model = [{"type": "flatten"}, {"type": "max_pool2d", "kernel_size": 2}, LINEAR]
    ((_, message),) = mistakes(api.http.post("/v1/jobs", json={**DIGITS, "model": model})).values()
    assert message.startswith("layer 1 (max_pool2d): ")
    assert "64" in message
    assert "height" in message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_in_inline_data_is_pointed_at(
    number: str, api: Service
) -> None:
    data = {"x": [[1, 2], [3, "@"]], "y": [[1], [2]]}
    body = json.dumps({**TINY, "dataset": data}).replace('"@"', number)
    answer = api.http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert mistakes(answer) == {
        "/dataset/x/1/1": ["not_finite", "must be a finite number, not NaN or Inf"]
    }


def test_all_mistakes_come_at_once(api: Service) -> None:
    wrong = {
        "dataset": {"x": [[1.0, 2.0], [3.0]], "y": [[1.0], [2.0]]},
        "model": {"layers": [{"type": "linear", "out_features": 0}, {"type": "reluu"}]},
        "loss": {"type": "mse"},
        "optimizer": {"type": "adam", "lr": -1, "beta": 1},
        "schedule": "cosin",
        "batch_size": 0,
        "iterations": 5,
        "epochs": 5,
        "sede": 1,
    }
    found = mistakes(api.http.post("/v1/jobs", json=wrong))
    assert {
        "/dataset/x/1",
        "/model/layers/0/out_features",
        "/model/layers/1/type",
        "/loss/type",
        "/optimizer/lr",
        "/optimizer/beta",
        "/schedule",
        "/batch_size",
        "/epochs",
        "/sede",
    } <= set(found)


def test_the_detail_counts_the_mistakes(api: Service) -> None:
    one = api.http.post("/v1/jobs", json={**TINY, "seed": -1}).json()
    two = api.http.post("/v1/jobs", json={**TINY, "seed": -1, "loss": "mse"}).json()
    assert one["detail"] == "the specification has 1 mistake"
    assert two["detail"] == "the specification has 2 mistakes"
    assert len(two["errors"]) == 2


@pytest.mark.parametrize("specification", [DIGITS_MLP, DIGITS_CNN, DIGITS, TINY])
def test_what_is_right_is_accepted(specification: dict[str, Any], api: Service) -> None:
    assert api.http.post("/v1/jobs", json=specification).status_code == 202


def test_nothing_of_a_refused_specification_is_kept(api: Service) -> None:
    before = api.http.get("/v1/jobs", params={"limit": 1}).json()["data"]
    api.http.post("/v1/jobs", json={**TINY, "seed": -1})
    assert api.http.get("/v1/jobs", params={"limit": 1}).json()["data"] == before


@pytest.mark.parametrize(
    ("path", "pointer", "sentence"),
    [
        ("/v1/datasets?limi=1", "/limi", "`limi`: did you mean `limit`? (query parameter)"),
        ("/v1/catalog?part=x", "/part", "`part`: there are no parameters here (query parameter)"),
        ("/v1/jobs/job_x/metrics?point=5", "/point", "`point`: did you mean `points`?"),
    ],
)
def test_a_parameter_that_a_route_does_not_take_is_a_mistake(
    path: str, pointer: str, sentence: str, api: Service
) -> None:
    answer = api.http.get(path)
    assert answer.status_code == 422, answer.text
    code, message = mistakes(answer, "invalid_request")[pointer]
    assert code == "unknown_field"
    assert message.startswith(sentence)


def test_a_probe_may_add_what_it_likes(api: Service) -> None:
    assert api.http.get("/healthz?now=1").status_code == 200
