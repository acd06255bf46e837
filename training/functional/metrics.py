"""Metrics as functions of outputs and targets: N examples, C classes, D outputs.

Outputs lie where the network put them; those of numbers come in float64. torchmetrics takes a
second or two to import, so only the metrics that need it do so, on the CPU, when first asked for;
what is measured by default needs none of it.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from training.catalog import metrics as words


def accuracy(word: words.Accuracy, logits_NC: Tensor, target_N: Tensor) -> float:
    """Of equally probable classes the first is chosen."""
    return (logits_NC.argmax(1) == target_N).double().mean().item()


def top_k_accuracy(word: words.TopKAccuracy, logits_NC: Tensor, target_N: Tensor) -> float:
    """A stable order, so that ties are broken as in ``accuracy``."""
    order_NC = logits_NC.argsort(dim=1, descending=True, stable=True)
    best_Nk = order_NC[:, : word.among(logits_NC.shape[1])]
    hit_N: Tensor = (best_Nk == target_N[:, None]).any(1)
    return hit_N.double().mean().item()


def balanced_accuracy(word: words.BalancedAccuracy, logits_NC: Tensor, target_N: Tensor) -> float:
    """Recall, averaged over the classes that occur."""
    from torchmetrics.functional.classification import multiclass_recall

    guess_N, truth_N, classes = logits_NC.argmax(1).cpu(), target_N.cpu(), logits_NC.shape[1]
    recall_C = multiclass_recall(guess_N, truth_N, classes, average="none", validate_args=False)
    return recall_C[truth_N.unique()].double().mean().item()


def f1(word: words.F1, logits_NC: Tensor, target_N: Tensor) -> float:
    """Macro average over the classes that occur or are predicted."""
    from torchmetrics.functional.classification import multiclass_f1_score

    guess_N, truth_N, classes = logits_NC.argmax(1).cpu(), target_N.cpu(), logits_NC.shape[1]
    return multiclass_f1_score(
        guess_N, truth_N, classes, average="macro", validate_args=False
    ).item()


def roc_auc(word: words.RocAuc, logits_NC: Tensor, target_N: Tensor) -> float:
    """The area under the curve of each class that some but not all examples have, averaged."""
    from torchmetrics.functional.classification import binary_auroc

    probabilities_NC, target_N = logits_NC.double().softmax(1).cpu(), target_N.cpu()
    if probabilities_NC.isnan().any():
        return math.nan
    counts_C = target_N.bincount(minlength=logits_NC.shape[1])
    told_apart = ((counts_C > 0) & (counts_C < len(target_N))).nonzero().flatten().tolist()
    if logits_NC.shape[1] == 2:
        told_apart = told_apart[1:]
    areas = [
        binary_auroc(probabilities_NC[:, c], (target_N == c).long(), validate_args=False).item()
        for c in told_apart
    ]
    return sum(areas) / len(areas) if areas else math.nan


def mse(word: words.Mse, output_ND: Tensor, target_ND: Tensor) -> float:
    """The mean of (ŷ − y)²."""
    return (output_ND - target_ND).square().mean().item()


def mae(word: words.Mae, output_ND: Tensor, target_ND: Tensor) -> float:
    """The mean of |ŷ − y|."""
    return (output_ND - target_ND).abs().mean().item()


def r2(word: words.R2, output_ND: Tensor, target_ND: Tensor) -> float:
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)², averaged over the columns; a constant one counts 0, or 1 where
    every guess is right."""
    residual_D = (output_ND - target_ND).square().sum(0)
    total_D = (target_ND - target_ND.mean(0)).square().sum(0)
    # x / x, so that of a guess that is no number nothing is known.
    missed_D = torch.where(residual_D > 0, residual_D / residual_D, residual_D)
    unexplained_D = torch.where(total_D > 0, residual_D / total_D, missed_D)
    return 1.0 - unexplained_D.mean().item()


MEASURE: dict[str, Callable[[Any, Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "top_k_accuracy": top_k_accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "roc_auc": roc_auc,
    "mse": mse,
    "mae": mae,
    "r2": r2,
}
