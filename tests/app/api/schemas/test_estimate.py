"""What a job would do and cost, said before it is created."""

from typing import Any

import pytest

from tests.app.conftest import Connect, new_key
from tests.app.talk import DIGITS, TINY, Document, mistakes, posted, problem, trained
from tests.app.uploads import classifier, people, uploaded
from tests.service import Service
from tests.specifications import DIGITS_CNN, DIGITS_MLP, ONE_WEIGHT, Specification

LINEAR = {"type": "linear", "out_features": 10}
CONV = {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}


def validated(service: Service, specification: Specification, **changes: Any) -> Document:
    answer = service.http.post("/v1/jobs/validate", json={**specification, **changes})
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def test_a_specification_is_answered_with_what_would_run(api: Service) -> None:
    found = validated(api, DIGITS_MLP)
    assert found["object"] == "validation"
    assert found["task"] == "classification"
    assert found["layers"] == [
        {
            "path": "0",
            "type": "linear",
            "input_shape": [1, 8, 8],
            "output_shape": [64],
            "parameters": 64 * 64 + 64,
            "flops": 2 * 64 * 64,
            "layers": [],
        },
        {
            "path": "1",
            "type": "relu",
            "input_shape": [64],
            "output_shape": [64],
            "parameters": 0,
            "flops": 0,
            "layers": [],
        },
        {
            "path": "2",
            "type": "linear",
            "input_shape": [64],
            "output_shape": [10],
            "parameters": 650,
            "flops": 2 * 64 * 10,
            "layers": [],
        },
    ]
    assert found["parameters"] == 4810
    # Backward: both weights' gradients, and that of the second layer's input.
    forward, backward = 64 * (8192 + 1280), 64 * (8192 + 1280 + 1280)
    assert found["flops"] == {"forward": forward, "backward": backward}
    assert found["flops_per_iteration"] == forward + backward
    assert (found["iterations"], found["batch_size"]) == (1000, 64)
    assert found["epochs"] == pytest.approx(64000 / 1258, abs=1e-3)
    assert found["examples"] == {"train": 1258, "validation": 180, "test": 359, "seen": 64000}
    assert found["device"] == "cpu"


def test_no_part_of_the_memory_is_more_than_the_whole_and_none_is_forgotten(api: Service) -> None:
    document = validated(api, DIGITS_CNN)
    memory = document["memory"]
    total = memory.pop("total")
    assert max(memory.values()) <= total <= sum(memory.values())
    assert all(memory.values())
    assert memory["parameters"] >= 4 * document["parameters"]
    assert 1_000_000 < total < 100_000_000


def test_a_block_shows_the_layers_inside_it(api: Service) -> None:
    block = {"type": "residual", "name": "skip", "layers": [{**CONV, "stride": 2}, "relu"]}
    (found, _) = validated(api, DIGITS, model=[block, LINEAR])["layers"]
    assert (found["path"], found["output_shape"]) == ("skip", [4, 4, 4])
    assert [layer["path"] for layer in found["layers"]] == ["skip.0", "skip.1"]
    assert [layer["parameters"] for layer in found["layers"]] == [40, 0]
    assert found["parameters"] == 40 + 4  # and the projection of one channel to four


def test_epochs_become_iterations(api: Service) -> None:
    found = validated(api, DIGITS_CNN)
    assert found["iterations"] == -(-18 * 1258 // 64)
    assert found["epochs"] >= 18


def test_the_resolved_specification_says_what_was_left_out(api: Service) -> None:
    spec = validated(api, TINY)["spec"]
    assert spec["model"]["layers"][0] == {
        "type": "linear",
        "name": None,
        "out_features": 1,
        "bias": False,
        "init": {"type": "constant", "value": 2.0},
    }
    assert (spec["prepare"], spec["evaluate_every"], spec["seed"]) == ("none", 1, 0)
    assert [metric["type"] for metric in spec["metrics"]] == ["mse", "mae", "r2"]
    assert spec["schedule"]["type"] == "constant"


@pytest.mark.parametrize("specification", [DIGITS_MLP, DIGITS_CNN, ONE_WEIGHT])
def test_the_resolved_specification_is_the_same_job(
    api: Service, specification: Specification
) -> None:
    found = validated(api, specification)
    assert validated(api, found["spec"]) == found


def test_nothing_is_created(api: Service, tenant: Connect) -> None:
    http = tenant(api)
    assert http.post("/v1/jobs/validate", json=DIGITS).status_code == 200
    assert http.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ["rellu", LINEAR]},
        {"model": [{"type": "residual", "layers": [{"type": "linear", "out_feature": 3}]}, LINEAR]},
        {"model": [{"type": "residual", "layers": [{**CONV, "padding": 0}]}, LINEAR]},
        {"model": [{"type": "gelu", "aproximate": "tanh"}, LINEAR]},
        {"model": [{**LINEAR, "init": {"type": "orthogonall"}}]},
        {"loss": "mse_loss", "batch_size": 0, "epochs": 3, "lr": 0.1},
        {"iterations": 10**12},
        {"optimizer": {"type": "sgd", "lr": "NaN"}},
        {"model": [{"type": "linear", "out_features": 10**6}] * 2 + [LINEAR]},
        {"model": [{**CONV, "out_channels": 64}] * 20 + [LINEAR], "batch_size": 10**6},
    ],
)
def test_what_creation_refuses_is_refused_in_the_same_words(
    api: Service, changes: dict[str, Any]
) -> None:
    body = {**DIGITS, **changes}
    created, looked_at = (api.http.post(path, json=body) for path in ("/v1/jobs", VALIDATE))
    assert mistakes(created) == mistakes(looked_at)
    assert created.json()["detail"] == looked_at.json()["detail"]


VALIDATE = "/v1/jobs/validate"


def test_a_batch_that_no_memory_holds_names_the_limit(api: Service) -> None:
    model = [{**CONV, "out_channels": 64}] * 20 + [LINEAR]
    answer = api.http.post("/v1/jobs", json={**DIGITS, "model": model, "batch_size": 10**6})
    ((pointer, (code, message)),) = mistakes(answer).items()
    assert (pointer, code) == ("/batch_size", "limit_exceeded")
    assert message.startswith("needs about ")
    assert "most of it for its activations" in message
    assert message.endswith("GB allowed (max_job_memory_bytes)")


def test_the_memory_of_a_job_has_a_limit_that_can_be_set(
    service: Service, another_api: Connect
) -> None:
    http = another_api(max_job_memory_bytes=50_000_000)
    assert http.post("/v1/jobs/validate", json=DIGITS).status_code == 200
    wide = {**DIGITS, "model": [{"type": "linear", "out_features": 50_000}, LINEAR]}
    wide["batch_size"] = 1
    ((pointer, (code, message)),) = mistakes(http.post("/v1/jobs/validate", json=wide)).items()
    assert (pointer, code) == ("/model", "limit_exceeded")
    assert "more than the 0.05 GB allowed" in message


def test_a_key_that_may_not_train_may_not_validate(api: Service, connect: Connect) -> None:
    reader = connect(api, new_key(api, scopes=("read", "predict")))
    problem(reader.post("/v1/jobs/validate", json=DIGITS), 403, "insufficient_scope")


def test_an_estimate_without_experience_goes_by_calibration(api: Service) -> None:
    found = validated(api, DIGITS, name="calibrated", batch_size=63)
    assert found["basis"]["kind"] == "calibrated"
    assert found["basis"]["jobs"] == 0
    pace = found["basis"]["seconds_per_iteration"]
    assert 0 < pace < 1
    assert found["estimated_seconds"] == pytest.approx(60 * pace, rel=0.02)


def test_an_estimate_goes_by_the_jobs_that_did_the_same_work(service: Service) -> None:
    changes: dict[str, Any] = {"batch_size": 61, "iterations": 400}
    assert validated(service, DIGITS, **changes)["basis"]["kind"] == "calibrated"
    done = trained(service, DIGITS, **changes)
    found = validated(service, DIGITS, batch_size=61, iterations=800, seed=7)
    assert found["basis"]["kind"] == "measured"
    assert found["basis"]["jobs"] == 1
    assert found["estimated_seconds"] == pytest.approx(
        800 * found["basis"]["seconds_per_iteration"], rel=0.02
    )
    assert done["progress"]["iteration"] == 400
    other = validated(service, DIGITS, batch_size=61, optimizer={"type": "adam", "lr": 0.1})
    assert other["basis"]["kind"] == "calibrated"


def test_what_is_allowed_and_probably_not_meant_is_a_warning(
    api: Service, service: Service
) -> None:
    assert validated(api, DIGITS)["warnings"] == [
        "no worker is there now: the job would wait for one"
    ]
    assert validated(service, DIGITS)["warnings"] == []
    found = validated(service, DIGITS, model=[LINEAR, "softmax"], batch_size=5000, device="cuda")
    assert found["warnings"] == [
        "no worker with the device cuda is there now: the job would wait for one",
        "a batch of 5000 repeats the 1258 training examples",
        "cross_entropy has a softmax of its own: the last layer's is one too many",
    ]
    assert found["device"] == "cuda"


def test_a_job_that_was_validated_is_accepted(api: Service) -> None:
    assert posted(api, validated(api, TINY)["spec"]).startswith("job_")


def test_an_uploaded_table_is_planned_as_it_will_be_read(api: Service) -> None:
    dataset = uploaded(api, people(), "bought")
    specification = classifier(dataset["id"])
    found = validated(api, specification)
    width = found["layers"][0]["input_shape"]
    assert (
        found["examples"]["train"] + found["examples"]["validation"] + found["examples"]["test"]
        == dataset["rows"]
    )
    assert (
        found["layers"][0]["parameters"] == (width[0] + 1) * found["layers"][0]["output_shape"][0]
    )
    nobodys = {**specification, "dataset": dataset["id"][:-4] + "zzzz"}
    refused = mistakes(api.http.post("/v1/jobs/validate", json=nobodys))
    assert refused == {"/dataset": ["unknown_name", "there is no data set with this id"]}
