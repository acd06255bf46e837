"""Optimizers as update rules on one flat vector. P: all parameters of the job.

A rule has three parts: the slots it keeps (each [P], zero at first), the numbers it needs at
iteration n (computed in float64, handed over as tensors, so that a graph holds no number of its
own) and the update itself. Where torch and the paper differ in form, torch's is followed.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.catalog import optimizers as words

Slots = dict[str, Tensor]
Hyper = dict[str, Tensor]


class Rule(NamedTuple):
    """How one optimizer works; ``word`` is its entry in the specification."""

    slots: Callable[[Any], tuple[str, ...]]
    hyper: Callable[[Any, float, int], dict[str, float]]
    update: Callable[[Any, Tensor, Tensor, Slots, Hyper], tuple[Tensor, Slots]]


def sgd_slots(word: words.Sgd) -> tuple[str, ...]:
    """The momentum buffer, when there is momentum."""
    return ("momentum_buffer",) if word.momentum else ()


def sgd_hyper(word: words.Sgd, lr: float, n: int) -> dict[str, float]:
    """torch starts the buffer with the undamped gradient: at n = 0 nothing is dampened."""
    return {
        "lr": lr,
        "weight_decay": word.weight_decay,
        "momentum": word.momentum,
        "fresh": 1.0 - word.dampening if n else 1.0,
    }


def sgd(word: words.Sgd, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper) -> tuple[Tensor, Slots]:
    """b ← μb + (1 − τ)g; p ← p − η·b, or with nesterov p ← p − η(g + μb)."""
    if word.weight_decay:
        g_P = g_P + h["weight_decay"] * p_P
    if not word.momentum:
        return p_P - h["lr"] * g_P, {}
    b_P = h["momentum"] * slots["momentum_buffer"] + h["fresh"] * g_P
    direction_P = g_P + h["momentum"] * b_P if word.nesterov else b_P
    return p_P - h["lr"] * direction_P, {"momentum_buffer": b_P}


def adam_slots(word: words.AdamWord) -> tuple[str, ...]:
    """First and second moment; amsgrad also keeps the largest second moment."""
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if word.amsgrad else ()))


def adam_hyper(word: words.Adam | words.AdamW, lr: float, n: int) -> dict[str, float]:
    """Bias corrections of update n (the paper's t = n + 1) belong to the numbers, not the graph."""
    beta1, beta2 = word.betas
    return {
        "step_size": lr / (1.0 - beta1 ** (n + 1)),
        "correction": math.sqrt(1.0 - beta2 ** (n + 1)),
        "fresh1": 1.0 - beta1,
        "beta2": beta2,
        "fresh2": 1.0 - beta2,
        "eps": word.eps,
        "weight_decay": word.weight_decay,
        "shrink": 1.0 - lr * word.weight_decay,
    }


def adam(
    word: words.Adam | words.AdamW, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """m ← lerp(m, g, 1 − β₁); v ← β₂v + (1 − β₂)g²; p ← p − η/c₁ · m / (√v/√c₂ + ε)."""
    if word.weight_decay and isinstance(word, words.AdamW):
        p_P = p_P * h["shrink"]
    elif word.weight_decay:
        g_P = g_P + h["weight_decay"] * p_P
    m_P = torch.lerp(slots["exp_avg"], g_P, h["fresh1"])
    v_P = h["beta2"] * slots["exp_avg_sq"] + h["fresh2"] * g_P * g_P
    kept = {"exp_avg": m_P, "exp_avg_sq": v_P}
    if word.amsgrad:
        v_P = kept["max_exp_avg_sq"] = torch.maximum(slots["max_exp_avg_sq"], v_P)
    return p_P - h["step_size"] * m_P / (v_P.sqrt() / h["correction"] + h["eps"]), kept


RULES: dict[str, Rule] = {
    "sgd": Rule(sgd_slots, sgd_hyper, sgd),
    "adam": Rule(adam_slots, adam_hyper, adam),
    "adamw": Rule(adam_slots, adam_hyper, adam),
}
