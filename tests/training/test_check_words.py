"""The gate and the words of the catalogue: losses, metrics and classes that fit one another."""

from typing import Any

import numpy as np
import pytest

from tests.specifications import Specification
from tests.training.gate import LINEAR, digits, inline, mistakes
from training.catalog import DEFAULT_METRICS, METRICS, Classes, Values
from training.validation.check import check

NUMBERS = "use mse_loss, l1_loss, smooth_l1_loss or huber_loss"
CLASSES = "use cross_entropy or nll_loss"
ONE = {"type": "linear", "out_features": 1}


def cancer(**sections: Any) -> Specification:
    """Two classes."""
    return digits(dataset="breast_cancer", model=[ONE], loss="bce_with_logits", **sections)


def metric(*metrics: Any, **sections: Any) -> Specification:
    return digits(metrics=list(metrics), **sections)


SINGLE: dict[str, tuple[Any, str, str, str]] = {
    "loss for numbers on classes": (
        digits(loss="mse_loss"),
        "/loss",
        "loss_target_mismatch",
        f"mse_loss needs numbers as target, but this data has classes; {CLASSES}",
    ),
    "loss for numbers on two classes": (
        digits(dataset="breast_cancer", loss="huber_loss"),
        "/loss",
        "loss_target_mismatch",
        "huber_loss needs numbers as target, but this data has classes; "
        "use cross_entropy, nll_loss or bce_with_logits",
    ),
    "loss for classes on numbers": (
        digits(dataset="diabetes"),
        "/loss",
        "loss_target_mismatch",
        f"cross_entropy needs classes as target, but this data has numbers; {NUMBERS}",
    ),
    "loss for two classes on numbers": (
        digits(dataset="diabetes", loss="bce_with_logits"),
        "/loss",
        "loss_target_mismatch",
        f"bce_with_logits needs classes as target, but this data has numbers; {NUMBERS}",
    ),
    "loss for two classes on ten": (
        digits(loss="bce_with_logits"),
        "/loss",
        "loss_target_mismatch",
        f"bce_with_logits needs two classes, but this data has 10; {CLASSES}",
    ),
    "loss for two classes on inline data with three": (
        inline(
            dataset={"x": [1.0, 2.0, 3.0], "y": ["a", "b", "c"]},
            model=[ONE],
            loss="bce_with_logits",
        ),
        "/loss",
        "loss_target_mismatch",
        f"bce_with_logits needs two classes, but this data has 3; {CLASSES}",
    ),
    "two outputs for the loss of one": (
        digits(
            dataset="breast_cancer",
            loss="bce_with_logits",
            model=[{"type": "linear", "out_features": 2}],
        ),
        "/model/0",
        "shape_mismatch",
        "bce_with_logits expects one output, that of the second class, "
        "but the last layer puts out 2",
    ),
    "log-probabilities that are none": (
        digits(loss="nll_loss"),
        "/loss",
        "conflict",
        "nll_loss expects what log_softmax puts out: make that the last layer, "
        "or use cross_entropy, which takes any numbers",
    ),
    "too few weights": (
        digits(loss={"type": "cross_entropy", "weight": [1.0, 2.0]}),
        "/loss",
        "loss_target_mismatch",
        "`weight` has 2 numbers, but there are 10 classes",
    ),
    "too few weights for inline data": (
        inline(loss={"type": "cross_entropy", "weight": [1.0]}),
        "/loss",
        "loss_target_mismatch",
        "`weight` has 1 numbers, but there are 2 classes",
    ),
    "weight of zero": (
        inline(loss={"type": "cross_entropy", "weight": [1.0, 0.0]}),
        "/loss/weight/1",
        "out_of_range",
        "must be greater than 0",
    ),
    "weights by a wrong name": (
        inline(loss={"type": "cross_entropy", "weight": "balance"}),
        "/loss/weight",
        "wrong_type",
        "must be a list or 'balanced'",
    ),
    "metric of numbers on classes": (
        metric("accuracy", "r2"),
        "/metrics/1",
        "metric_target_mismatch",
        "`r2` does not fit this target; known are "
        "accuracy, top_k_accuracy, balanced_accuracy, f1, roc_auc",
    ),
    "metric of classes on numbers": (
        metric("f1", dataset="diabetes", loss="mse_loss", model=[ONE]),
        "/metrics/0",
        "metric_target_mismatch",
        "`f1` does not fit this target; known are mse, mae, r2",
    ),
    "unknown metric": (
        metric("acuracy"),
        "/metrics/0",
        "unknown_name",
        "`acuracy`: did you mean `accuracy`?",
    ),
    "unknown metric spelled out": (
        metric({"type": "top_k_acuracy", "k": 3}),
        "/metrics/0/type",
        "unknown_name",
        "`top_k_acuracy`: did you mean `top_k_accuracy`?",
    ),
    "metric twice": (
        metric("top_k_accuracy", {"type": "top_k_accuracy", "k": 3}),
        "/metrics/1",
        "conflict",
        "`top_k_accuracy` is measured twice",
    ),
    "more than all classes": (
        metric({"type": "top_k_accuracy", "k": 11}),
        "/metrics/0",
        "metric_target_mismatch",
        "`k` is 11, but there are 10 classes only",
    ),
    "early stopping by what is not measured": (
        metric("f1", early_stopping={"patience": 3, "metric": "validation_accuracy"}),
        "/early_stopping/metric",
        "unknown_name",
        "`validation_accuracy`: did you mean `validation_f1`?",
    ),
    "gradient clipped to nothing": (
        digits(clip_grad_norm=0),
        "/clip_grad_norm",
        "out_of_range",
        "must be greater than 0",
    ),
    "unknown precision": (
        digits(precision="fp16"),
        "/precision",
        "unknown_name",
        "must be 'fp32', 'bf16' or 'auto'",
    ),
    "time limit of nothing": (
        digits(time_limit_seconds=0),
        "/time_limit_seconds",
        "out_of_range",
        "must be greater than 0",
    ),
    "milestones that are none": (
        digits(schedule={"type": "multi_step", "milestones": []}),
        "/schedule/milestones",
        "out_of_range",
        "must have at least 1 entry",
    ),
    "a cycle without its top": (
        digits(schedule="one_cycle"),
        "/schedule",
        "missing",
        "`max_lr` is required",
    ),
    "a class that is never trained on": (
        digits(dataset="iris", split={"test": 0.987}, model=[{**ONE, "out_features": 3}]),
        "/split",
        "class_absent",
        "leaves no example to train on of class `versicolor`",
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_word_that_does_not_fit_is_told_in_a_sentence_where_it_is(name: str) -> None:
    raw, *wanted = SINGLE[name]
    assert mistakes(raw) == [tuple(wanted)]


def test_classes_that_are_never_trained_on_are_named() -> None:
    dataset = {"x": [[0.1]] * 9, "y": [*("aaaa"), *("bbb"), "c", "d"]}
    raw = inline(
        dataset=dataset, split={"test": 0.5}, model=[{"type": "linear", "out_features": 4}]
    )
    (mistake,) = mistakes(raw)
    assert mistake.pointer == "/split"
    assert mistake.code == "class_absent"
    assert mistake.message.startswith("leaves no example to train on of class `")


def test_many_classes_that_are_never_trained_on_are_counted() -> None:
    dataset = {"x": [[0.1]] * 100, "y": list(range(100))}
    raw = inline(
        dataset=dataset, split={"test": 0.2}, model=[{"type": "linear", "out_features": 100}]
    )
    ((_, _, message),) = mistakes(raw)
    assert message.count("`") == 10
    assert message.endswith(" and 15 more")


def test_two_classes_are_learned_by_one_output() -> None:
    plan = check(cancer(metrics=["roc_auc", "f1", {"type": "top_k_accuracy", "k": 1}]))
    assert plan.layers[-1].output_shape == (1,)
    assert plan.validation_series == (
        "validation_loss",
        "validation_roc_auc",
        "validation_f1",
        "validation_top_k_accuracy",
    )


def test_every_metric_may_be_asked_for_and_watched() -> None:
    for name, word in METRICS.items():
        rule = {"patience": 3, "metric": f"validation_{name}"}
        asked = {"metrics": [name], "early_stopping": rule}
        numbers = digits(dataset="diabetes", loss="l1_loss", model=[ONE], **asked)
        plan = check(cancer(**asked) if word.takes(Classes((0, 1))) else numbers)
        assert plan.validation_series == ("validation_loss", rule["metric"])


@pytest.mark.parametrize("weight", [None, "balanced", np.linspace(0.5, 2, 10).tolist()])
def test_weights_may_be_left_out_balanced_or_given(weight: Any) -> None:
    plan = check(digits(loss={"type": "cross_entropy", "weight": weight}, model=[LINEAR]))
    stored = plan.spec.model_dump(mode="json")
    assert stored["loss"]["weight"] == weight
    assert check(stored) == plan


def test_the_default_metrics_are_what_they_were() -> None:
    names = {kind: [word.type for word in words] for kind, words in DEFAULT_METRICS.items()}
    assert names == {Classes: ["accuracy"], Values: ["mse", "mae", "r2"]}
