"""Metrics against scikit-learn, edge cases included."""

import math
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearns
from torch import Tensor

from tests.databases import ROOT
from training.catalog import METRICS, Classes, Values
from training.catalog.metrics import rises
from training.functional.metrics import MEASURE


def measured(name: str, output: Tensor, target: Tensor, **arguments: Any) -> float:
    """Our metric."""
    word = METRICS[name].model_validate({"type": name, **arguments})
    return MEASURE[name](word, output, target)


def drawn(rows: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Guesses and targets: numbers."""
    both = torch.randn(2, rows, width, generator=torch.manual_seed(seed), dtype=torch.float64)
    return both[0], both[1]


def classified(rows: int, classes: int, *present: int, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Logits that know something, and the true classes, of which only some are present."""
    generator = torch.manual_seed(rows + classes)
    names = torch.tensor(present or range(classes))
    target = names[torch.randint(len(names), (rows,), generator=generator)]
    logits = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    logits[torch.arange(rows), target] += 0.7
    return (logits.round() if ties else logits), target


def predicted(logits: Tensor) -> Tensor:
    return logits.argmax(1)


# Classes.

PRESENT = [
    pytest.param((200, 4), id="all classes"),
    pytest.param((60, 5, 0, 2, 3), id="two classes are absent"),
    pytest.param((60, 2), id="two classes"),
    pytest.param((40, 3, 1), id="one class only"),
]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", PRESENT)
def test_accuracies_are_those_of_scikit_learn(shape: tuple[int, ...], ties: bool) -> None:
    logits, target = classified(*shape, ties=ties)
    guess = predicted(logits)
    wanted = sklearns.accuracy_score(target, guess)
    assert measured("accuracy", logits, target) == pytest.approx(wanted, rel=1e-12)
    with warnings.catch_warnings(action="ignore"):  # that a class is predicted but absent
        wanted = sklearns.balanced_accuracy_score(target, guess)
    assert measured("balanced_accuracy", logits, target) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", PRESENT)
def test_f1_is_that_of_scikit_learn(shape: tuple[int, ...], ties: bool) -> None:
    logits, target = classified(*shape, ties=ties)
    wanted = sklearns.f1_score(target, predicted(logits), average="macro", zero_division=0.0)
    assert measured("f1", logits, target) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(200, 4), (60, 5, 0, 2, 3)])
def test_top_k_accuracy_is_that_of_scikit_learn(shape: tuple[int, ...], k: int) -> None:
    logits, target = classified(*shape)
    with warnings.catch_warnings(action="ignore"):  # that k classes of four are all of them
        wanted = sklearns.top_k_accuracy_score(
            target, logits, k=k, labels=np.arange(logits.shape[1])
        )
    assert measured("top_k_accuracy", logits, target, k=k) == pytest.approx(wanted, rel=1e-12)


def test_of_equally_probable_classes_the_first_are_the_top() -> None:
    logits, target = torch.zeros(6, 3), torch.tensor([0, 1, 2, 0, 1, 0])
    assert measured("top_k_accuracy", logits, target, k=1) == measured("accuracy", logits, target)
    assert measured("top_k_accuracy", logits, target, k=2) == pytest.approx(5 / 6)
    assert measured("top_k_accuracy", logits, target, k=3) == 1


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (3, 2), (5, 4), (6, 5), (100, 5)])
def test_k_is_five_unless_there_are_not_so_many_classes(classes: int, k: int) -> None:
    logits, target = classified(150, classes)
    wanted = measured("top_k_accuracy", logits, target, k=k)
    assert measured("top_k_accuracy", logits, target) == wanted


@pytest.mark.parametrize("ties", [False, True])
def test_roc_auc_of_two_classes_is_that_of_scikit_learn(ties: bool) -> None:
    logits, target = classified(120, 2, ties=ties)
    wanted = sklearns.roc_auc_score(target, logits.softmax(1)[:, 1])
    assert measured("roc_auc", logits, target) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_roc_auc_of_more_classes_is_that_of_scikit_learn_one_against_the_rest(ties: bool) -> None:
    logits, target = classified(200, 4, ties=ties)
    wanted = sklearns.roc_auc_score(target, logits.softmax(1), multi_class="ovr", average="macro")
    assert measured("roc_auc", logits, target) == pytest.approx(wanted, rel=1e-6)


def test_roc_auc_leaves_out_the_classes_that_are_absent() -> None:
    logits, target = classified(60, 5, 0, 2, 3)
    scores = logits.softmax(1)
    areas = [sklearns.roc_auc_score(target == c, scores[:, c]) for c in (0, 2, 3)]
    assert measured("roc_auc", logits, target) == pytest.approx(np.mean(areas), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_roc_auc_of_one_class_alone_is_not_a_number(classes: int) -> None:
    logits, target = classified(20, classes, 1)
    assert math.isnan(measured("roc_auc", logits, target))


@pytest.mark.parametrize(
    "name", [name for name, word in METRICS.items() if word.takes(Classes(()))]
)
@pytest.mark.parametrize("rows", [1, 30])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 1e300])
def test_no_output_makes_a_metric_of_classes_fail(value: float, rows: int, name: str) -> None:
    logits, target = classified(rows, 3)
    logits[0, 1] = logits[-1] = value
    with warnings.catch_warnings(action="error"):
        found = measured(name, logits, target)
    assert math.isnan(found) or 0 <= found <= 1


# Numbers.


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("rows", [2, 50])
def test_errors_are_those_of_scikit_learn(rows: int, width: int) -> None:
    guess, target = drawn(rows, width)
    for name, theirs in (
        ("mse", sklearns.mean_squared_error),
        ("mae", sklearns.mean_absolute_error),
        ("r2", sklearns.r2_score),
    ):
        assert measured(name, guess, target) == pytest.approx(theirs(target, guess), rel=1e-12)


@pytest.mark.parametrize("right", [True, False])
def test_r2_of_a_constant_target_is_that_of_scikit_learn(right: bool) -> None:
    guess, target = drawn(20, 2)
    target[:, 1] = 3.0
    guess[:, 1] = 3.0 if right else 4.0
    wanted = sklearns.r2_score(target, guess)
    assert measured("r2", guess, target) == pytest.approx(wanted, rel=1e-12)


def test_r2_of_one_example_is_a_number() -> None:
    with warnings.catch_warnings(action="error"):
        guess, target = drawn(1, 2)
        assert measured("r2", guess, target) == 0.0


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("name", ["mse", "mae", "r2"])
def test_of_a_guess_that_is_no_number_no_error_is_known(name: str, constant: bool) -> None:
    guess, target = drawn(9, 2)
    if constant:
        target[:] = 1.5
    guess[3, 1] = math.nan
    assert math.isnan(measured(name, guess, target))


# The words.


def test_every_metric_is_computed_and_knows_its_target() -> None:
    assert set(MEASURE) == set(METRICS)
    for word in METRICS.values():
        assert word.takes(Classes((0, 1))) is not word.takes(Values(1))


def test_errors_fall_and_all_other_metrics_rise() -> None:
    assert {name for name in METRICS if not rises(f"validation_{name}")} == {"mse", "mae"}
    assert not rises("validation_loss")
    assert not rises("loss")


def test_what_is_measured_by_default_needs_no_torchmetrics() -> None:
    code = (
        "import sys, torch, training.engine.loop; from training.functional.metrics import MEASURE\n"
        "for name in ('accuracy', 'mse', 'mae', 'r2'):\n"
        "    MEASURE[name](None, torch.rand(3, 2), torch.ones(3, 2) if name[0] != 'a' else "
        "torch.ones(3))\n"
        "print('torchmetrics' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
