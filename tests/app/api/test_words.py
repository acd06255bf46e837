"""The words that change numbers, through the whole service."""

from typing import Any

import pytest

from tests.app.talk import Document, metrics, trained
from tests.service import Service

CANCER: dict[str, Any] = {
    "name": "cancer",
    "dataset": "breast_cancer",
    "split": {"validation": 0.2, "test": 0.2},
    "model": [{"type": "linear", "out_features": 1}],
    "loss": {"type": "bce_with_logits", "pos_weight": 0.6},
    "optimizer": {"type": "nadam", "lr": 0.02},
    "schedule": {"type": "one_cycle", "max_lr": 0.1, "warmup_iterations": 10},
    "clip_grad_norm": 0.5,
    "precision": "bf16",
    "metrics": [
        "accuracy",
        "roc_auc",
        "f1",
        "balanced_accuracy",
        {"type": "top_k_accuracy", "k": 1},
    ],
    "early_stopping": {"metric": "validation_roc_auc", "patience": 100},
    "batch_size": 32,
    "iterations": 200,
    "evaluate_every": 50,
}
NAMES = ("accuracy", "roc_auc", "f1", "balanced_accuracy", "top_k_accuracy")


@pytest.fixture(scope="session")
def cancer(service: Service) -> Document:
    return trained(service, CANCER, checkpoint_every_seconds=0)


def test_every_metric_is_a_series_and_a_result(cancer: Document, service: Service) -> None:
    wanted = ["validation_loss", *(f"validation_{name}" for name in NAMES)]
    series = metrics(service, cancer["id"], series=",".join(wanted))["series"]
    for name in wanted:
        assert series[name]["iteration"] == [50, 100, 150, 200]
        assert cancer["latest"][name] == series[name]["value"][-1]
        better = min if name == "validation_loss" else max
        assert cancer["best"][name] == better(series[name]["value"])
    assert set(cancer["result"]["test"]) == {"loss", *NAMES}
    assert cancer["result"]["test"]["roc_auc"] > 0.95


def test_one_output_predicts_the_probabilities_of_two_labels(
    cancer: Document, service: Service
) -> None:
    path = f"/v1/jobs/{cancer['id']}"
    examples = service.http.get(f"{path}/examples?limit=20").json()["data"]
    body = {"inputs": [example["input"] for example in examples], "outputs": ["logits"]}
    answers = service.http.post(f"{path}/predict", json=body).json()["predictions"]
    for answer in answers:
        malignant, benign = answer["probabilities"]
        assert malignant + benign == pytest.approx(1)
        assert answer["label"] == ("benign" if answer["logits"][0] > 0 else "malignant")
    right = [a["label"] == e["target"] for a, e in zip(answers, examples, strict=True)]
    assert sum(right) >= 18


def test_an_iteration_in_bfloat16_comes_back_exactly(cancer: Document, service: Service) -> None:
    assert cancer["execution"]["precision"] == "bf16"
    moment = service.http.get(f"/v1/jobs/{cancer['id']}/iterations/120").json()
    assert moment["exact"] is True


def test_a_metric_that_is_not_a_number_travels_as_nan(service: Service) -> None:
    job = trained(
        service,
        {
            "dataset": {"x": [[i / 20] for i in range(20)], "y": ["a"] * 17 + ["b"] * 3},
            "split": {"validation": 0.05},
            "model": [{"type": "linear", "out_features": 2}],
            "loss": {"type": "cross_entropy", "weight": "balanced"},
            "optimizer": "lion",
            "metrics": ["roc_auc"],
            "iterations": 4,
        },
    )
    series = metrics(service, job["id"], series="validation_roc_auc")["series"]
    assert set(series["validation_roc_auc"]["value"]) == {"NaN"}
    assert job["result"]["validation"]["roc_auc"] == "NaN"
    assert 0 <= job["result"]["train"]["roc_auc"] <= 1
