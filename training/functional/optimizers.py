"""Optimizers as update rules on one flat vector. P: all parameters of the job.

A rule has three parts: the slots it keeps (each [P], with the value they have at first), the
numbers it needs at iterations n_N (computed in float64 from the rates lr_N and n_N alone, handed
over as tensors, so that a graph holds no number of its own) and the update itself. Where torch and
the paper differ in form, torch's is followed; factors that are numbers are drawn together, for
every pass over P numbers costs time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.catalog import optimizers as words
from training.functional.adam_kernel import ADAM, root

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Numbers = dict[str, Floats | float]
"""By name, of N iterations: one that is the same at all of them stands once."""
Slots = dict[str, Tensor]
Hyper = dict[str, Tensor]


class Rule(NamedTuple):
    """How one optimizer works; ``word`` is its entry in the specification."""

    slots: Callable[[Any], dict[str, float]]
    hyper: Callable[[Any, Floats, Counts], Numbers]
    update: Callable[[Any, Tensor, Tensor, Slots, Hyper], tuple[Tensor, Slots]]


def sgd_slots(word: words.Sgd) -> dict[str, float]:
    """The momentum buffer, when there is momentum."""
    return {"momentum_buffer": 0.0} if word.momentum else {}


def sgd_hyper(word: words.Sgd, lr_N: Floats, n_N: Counts) -> Numbers:
    """torch starts the buffer with the undamped gradient: at n = 0 nothing is dampened."""
    return {
        "lr": lr_N,
        "weight_decay": word.weight_decay,
        "momentum": word.momentum,
        "fresh": np.where(n_N > 0, 1.0 - word.dampening, 1.0),
    }


def sgd(word: words.Sgd, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper) -> tuple[Tensor, Slots]:
    """b ← μb + (1 − τ)g; p ← p − η·b, or with nesterov p ← p − η(g + μb)."""
    if word.weight_decay:
        g_P = torch.addcmul(g_P, h["weight_decay"], p_P)
    if not word.momentum:
        return torch.addcmul(p_P, h["lr"], g_P, value=-1), {}
    b_P = torch.addcmul(h["momentum"] * slots["momentum_buffer"], h["fresh"], g_P)
    direction_P = torch.addcmul(g_P, h["momentum"], b_P) if word.nesterov else b_P
    return torch.addcmul(p_P, h["lr"], direction_P, value=-1), {"momentum_buffer": b_P}


def moments(word: words.NAdam | words.RAdam) -> dict[str, float]:
    """First and second moment of the gradient."""
    return {"exp_avg": 0.0, "exp_avg_sq": 0.0}


def averaged(g_P: Tensor, slots: Slots, h: Hyper) -> tuple[Tensor, Tensor]:
    """m ← lerp(m, g, 1 − β₁); v ← lerp(v, g², 1 − β₂)."""
    m_P = torch.lerp(slots["exp_avg"], g_P, h["fresh1"])
    return m_P, torch.lerp(slots["exp_avg_sq"], g_P * g_P, h["fresh2"])


def adam_slots(word: words.AdamConfig) -> dict[str, float]:
    """First and second moment; amsgrad also keeps the largest second moment."""
    return {"exp_avg": 0.0, "exp_avg_sq": 0.0} | ({"max_exp_avg_sq": 0.0} if word.amsgrad else {})


def adam_hyper(word: words.Adam | words.AdamW, lr_N: Floats, n_N: Counts) -> Numbers:
    """Bias corrections of update n (the paper's t = n + 1) belong to the numbers, not the graph; as
    at the end of the paper's section 2 they are in the rate: η√c₂/c₁ · m / (√v + ε√c₂)."""
    beta1, beta2 = word.betas
    correction_N = np.sqrt(1.0 - beta2 ** (n_N + 1))
    return {
        "step_size": lr_N * correction_N / (1.0 - beta1 ** (n_N + 1)),
        "fresh1": 1.0 - beta1,
        "fresh2": 1.0 - beta2,
        "eps": word.eps * correction_N,
        "weight_decay": word.weight_decay,
        "shrink": 1.0 - lr_N * word.weight_decay,
    }


def adam(
    word: words.Adam | words.AdamW, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """m ← lerp(m, g, 1 − β₁); v ← lerp(v, g², 1 − β₂); p ← p − η/c₁ · m / (√v/√c₂ + ε)."""
    if word.weight_decay and isinstance(word, words.AdamW):
        p_P = p_P * h["shrink"]
    elif word.weight_decay:
        g_P = torch.addcmul(g_P, h["weight_decay"], p_P)
    numbers = h["step_size"], h["fresh1"], h["fresh2"], h["eps"]
    if not word.amsgrad:
        p_P, m_P, v_P = ADAM(p_P, g_P, slots["exp_avg"], slots["exp_avg_sq"], *numbers)
        return p_P, {"exp_avg": m_P, "exp_avg_sq": v_P}
    m_P, v_P = averaged(g_P, slots, h)
    most_P = torch.maximum(slots["max_exp_avg_sq"], v_P)
    p_P = torch.addcdiv(p_P, h["step_size"] * m_P, root(most_P) + h["eps"], value=-1)
    return p_P, {"exp_avg": m_P, "exp_avg_sq": v_P, "max_exp_avg_sq": most_P}


def rmsprop_slots(word: words.RmsProp) -> dict[str, float]:
    """The mean square; centered also keeps the mean, momentum its buffer."""
    slots = {"square_avg": 0.0}
    if word.centered:
        slots["grad_avg"] = 0.0
    return slots | ({"momentum_buffer": 0.0} if word.momentum else {})


def rmsprop_hyper(word: words.RmsProp, lr_N: Floats, n_N: Counts) -> Numbers:
    """The same at every iteration, but for the rate."""
    return {
        "lr": lr_N,
        "fresh": 1.0 - word.alpha,
        "eps": word.eps,
        "momentum": word.momentum,
        "weight_decay": word.weight_decay,
    }


def rmsprop(
    word: words.RmsProp, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """v ← αv + (1 − α)g²; d = g / (√v + ε), centered: g / (√(v − ḡ²) + ε); b ← μb + d."""
    if word.weight_decay:
        g_P = torch.addcmul(g_P, h["weight_decay"], p_P)
    v_P = torch.lerp(slots["square_avg"], g_P * g_P, h["fresh"])
    kept = {"square_avg": v_P}
    if word.centered:
        mean_P = kept["grad_avg"] = torch.lerp(slots["grad_avg"], g_P, h["fresh"])
        # Of a gradient that never changes the variance is 0, and rounded it may fall below.
        v_P = (v_P - mean_P * mean_P).clamp(min=0.0)
    direction_P = g_P / (root(v_P) + h["eps"])
    if word.momentum:
        direction_P = torch.addcmul(direction_P, h["momentum"], slots["momentum_buffer"])
        kept["momentum_buffer"] = direction_P
    return torch.addcmul(p_P, h["lr"], direction_P, value=-1), kept


def adagrad_slots(word: words.Adagrad) -> dict[str, float]:
    """The sum of squares."""
    return {"sum": word.initial_accumulator_value}


def adagrad_hyper(word: words.Adagrad, lr_N: Floats, n_N: Counts) -> Numbers:
    """``lr_decay`` lowers the rate beside what the schedule does."""
    return {
        "lr": lr_N / (1.0 + n_N * word.lr_decay),
        "eps": word.eps,
        "weight_decay": word.weight_decay,
    }


def adagrad(
    word: words.Adagrad, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """s ← s + g²; p ← p − η·g / (√s + ε)."""
    if word.weight_decay:
        g_P = torch.addcmul(g_P, h["weight_decay"], p_P)
    s_P = torch.addcmul(slots["sum"], g_P, g_P)
    updated_P = torch.addcdiv(p_P, h["lr"] * g_P, root(s_P) + h["eps"], value=-1)
    return updated_P, {"sum": s_P}


MAX_NADAM_ITERATIONS = 2500
"""Of NAdam: after as many either the product of the momenta is nothing beside 1 in float64, or
every further one is β₁, whatever the arguments; for ψ < 0.38 the product goes first."""


def mu(word: words.NAdam, t_N: Counts) -> Floats:
    """The momenta of steps t (from 1): β₁(1 − ½·0.96^(tψ))."""
    fallen_N = np.power(0.96, t_N * word.momentum_decay)
    return np.asarray(word.betas[0] * (1.0 - 0.5 * fallen_N), np.float64)


@lru_cache(maxsize=64)
def mu_products(word: words.NAdam) -> Floats:
    """μ₁⋯μₜ for t = 0, 1 … as far as it has to be multiplied out."""
    return np.cumprod([1.0, *mu(word, np.arange(1, MAX_NADAM_ITERATIONS + 1))])


def mu_product(word: words.NAdam, t_N: Counts) -> Floats:
    """μ₁⋯μₜ, as a function of t: nothing is carried from step to step."""
    known = mu_products(word)[np.minimum(t_N, MAX_NADAM_ITERATIONS)]
    return known * np.power(word.betas[0], np.maximum(t_N - MAX_NADAM_ITERATIONS, 0))


def nadam_hyper(word: words.NAdam, lr_N: Floats, n_N: Counts) -> Numbers:
    """The momentum varies, and its products correct the bias (torch's ``mu_product``)."""
    beta2, now_N, next_N = word.betas[1], mu(word, n_N + 1), mu(word, n_N + 2)
    product_N = mu_product(word, n_N + 1)
    correction_N = np.sqrt(1.0 - beta2 ** (n_N + 1))
    return {
        "of_gradient": lr_N * correction_N * (1.0 - now_N) / (1.0 - product_N),
        "of_moment": lr_N * correction_N * next_N / (1.0 - product_N * next_N),
        "fresh1": 1.0 - word.betas[0],
        "fresh2": 1.0 - beta2,
        "eps": word.eps * correction_N,
        "weight_decay": word.weight_decay,
        "shrink": 1.0 - lr_N * word.weight_decay,
    }


def nadam(
    word: words.NAdam, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """p ← p − (η(1 − μₜ)/(1 − Πμ)·g + ημₜ₊₁/(1 − Πμ·μₜ₊₁)·m) / (√v/√c₂ + ε)."""
    p_P, g_P = decayed(word, p_P, g_P, h)
    m_P, v_P = averaged(g_P, slots, h)
    direction_P = torch.addcmul(h["of_gradient"] * g_P, h["of_moment"], m_P)
    updated_P = torch.addcdiv(p_P, direction_P, root(v_P) + h["eps"], value=-1)
    return updated_P, {"exp_avg": m_P, "exp_avg_sq": v_P}


def decayed(
    word: words.NAdam | words.RAdam, p_P: Tensor, g_P: Tensor, h: Hyper
) -> tuple[Tensor, Tensor]:
    """Weight decay: of the parameters where it is decoupled, else as a part of the gradient."""
    if not word.weight_decay:
        return p_P, g_P
    if word.decoupled_weight_decay:
        return p_P * h["shrink"], g_P
    return p_P, torch.addcmul(g_P, h["weight_decay"], p_P)


def radam_hyper(word: words.RAdam, lr_N: Floats, n_N: Counts) -> Numbers:
    """``rectified``: √c₂·r of the paper, or 0 as long as the second moment is not to be trusted."""
    beta1, beta2 = word.betas
    unbiased_N = 1.0 - beta2 ** (n_N + 1)
    most = 2.0 / (1.0 - beta2) - 1.0  # ρ∞, the longest approximated simple moving average
    length_N = most - 2.0 * (n_N + 1) * beta2 ** (n_N + 1) / unbiased_N  # ρₜ
    rectified_N = np.zeros_like(lr_N)
    trusted = length_N > 5.0
    if trusted.any():
        l_N = length_N[trusted]
        ratio_N = (l_N - 4.0) * (l_N - 2.0) * most / ((most - 4.0) * (most - 2.0) * l_N)
        rectified_N[trusted] = np.sqrt(unbiased_N[trusted] * ratio_N)
    return {
        "step_size": lr_N / (1.0 - beta1 ** (n_N + 1)),
        "rectified": rectified_N,
        "fresh1": 1.0 - beta1,
        "fresh2": 1.0 - beta2,
        "eps": word.eps,
        "weight_decay": word.weight_decay,
        "shrink": 1.0 - lr_N * word.weight_decay,
    }


def radam(
    word: words.RAdam, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """p ← p − η/c₁ · m · (r√c₂ / (√v + ε)), without the last factor while r is not to be had."""
    p_P, g_P = decayed(word, p_P, g_P, h)
    m_P, v_P = averaged(g_P, slots, h)
    adapted_P = h["rectified"] / (root(v_P) + h["eps"])
    # One graph serves every iteration, so the choice is made in it.
    adapted_P = torch.where(h["rectified"] > 0, adapted_P, torch.ones_like(adapted_P))
    updated_P = torch.addcmul(p_P, h["step_size"] * m_P, adapted_P, value=-1)
    return updated_P, {"exp_avg": m_P, "exp_avg_sq": v_P}


def lion_slots(word: words.Lion) -> dict[str, float]:
    """The momentum."""
    return {"exp_avg": 0.0}


def lion_hyper(word: words.Lion, lr_N: Floats, n_N: Counts) -> Numbers:
    """The decay is decoupled: lr·λ·p, as in the paper's algorithm 2."""
    beta1, beta2 = word.betas
    return {
        "lr": lr_N,
        "fresh1": 1.0 - beta1,
        "fresh2": 1.0 - beta2,
        "shrink": 1.0 - lr_N * word.weight_decay,
    }


def lion(
    word: words.Lion, p_P: Tensor, g_P: Tensor, slots: Slots, h: Hyper
) -> tuple[Tensor, Slots]:
    """c = β₁m + (1 − β₁)g; p ← p − η(sign c + λp); m ← β₂m + (1 − β₂)g."""
    direction_P = torch.lerp(slots["exp_avg"], g_P, h["fresh1"]).sign()
    m_P = torch.lerp(slots["exp_avg"], g_P, h["fresh2"])
    if word.weight_decay:
        p_P = p_P * h["shrink"]
    return torch.addcmul(p_P, h["lr"], direction_P, value=-1), {"exp_avg": m_P}


RULES: dict[str, Rule] = {
    "sgd": Rule(sgd_slots, sgd_hyper, sgd),
    "adam": Rule(adam_slots, adam_hyper, adam),
    "adamw": Rule(adam_slots, adam_hyper, adam),
    "rmsprop": Rule(rmsprop_slots, rmsprop_hyper, rmsprop),
    "adagrad": Rule(adagrad_slots, adagrad_hyper, adagrad),
    "nadam": Rule(moments, nadam_hyper, nadam),
    "radam": Rule(moments, radam_hyper, radam),
    "lion": Rule(lion_slots, lion_hyper, lion),
}
