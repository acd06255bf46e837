"""The numerics class *fused*: layers and losses over a leading job axis.

Shapes: K jobs, B batch, C classes, D outputs, F and G features. A job's numbers depend on nothing
of its neighbours, not on how many they are and not on its place among them: what looks at one
number at a time is computed on rows of whole vectors (``ROW``), for the last few numbers of an
array go through other instructions; products are batched, sums go over one job's axis. Only what
``tests/training/engine/test_fused_group.py`` finds to keep that, to the bit, is here.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.catalog import losses as loss_words
from training.catalog.layers import activations, affine
from training.catalog.layers import norms as norm_words
from training.catalog.layers import pools as pool_words
from training.functional.layers import LayerInputs
from training.functional.losses import LossWeights

ROW_VALUES = 64
"""A row of numbers is padded to a multiple of so many: whole vectors, whatever their width."""
MIN_FAST_SOFTMAX_VALUES = 64
"""Numbers an example from which on softmax goes along them fast."""
MIN_ROW_PRODUCT_VALUES = 16
"""Numbers an example below which a product is faster along the examples."""


def product(a_KMD: Tensor, b_KDN: Tensor) -> Tensor:
    """One matrix product a job: [K, M, N].

    MKL computes one with a vector, and only when it is alone, in another way than in a batch.
    """
    if b_KDN.shape[2] == 1:
        return (a_KMD * b_KDN.mT).sum(2, keepdim=True)
    if a_KMD.shape[1] == 1:
        return (a_KMD.mT * b_KDN).sum(1, keepdim=True)
    return torch.bmm(a_KMD, b_KDN)


class Affine(torch.autograd.Function):
    """x [K, B, F] times the transposed weight [K, G, F], plus the bias [K, G]: [K, B, G].

    A derivative of its own, because autograd's would come out transposed and be copied.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """One product a job; few outputs lie in memory as [K, G, B]."""
        if 1 in (x.shape[1], weight.shape[1]):
            y = product(x, weight.mT)
            return y if bias is None else y + bias.unsqueeze(1)
        if weight.shape[1] < MIN_ROW_PRODUCT_VALUES:
            if bias is None:
                return torch.bmm(weight, x.mT).mT
            return torch.baddbmm(bias.unsqueeze(2), weight, x.mT).mT
        if bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keeps the two factors."""
        x, weight, bias = inputs
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Two products and a sum a job; none for inputs that are data."""
        x, weight = ctx.saved_tensors
        (g,) = gradients
        of_x = product(g, weight) if ctx.needs_input_grad[0] else None
        return of_x, product(g.mT, x), g.sum(1) if ctx.biased else None


def linear(word: affine.Linear, x: Tensor, own: LayerInputs) -> Tensor:
    """[K, B, …] → [K, B, F]."""
    p = own.parameters
    y: Tensor = Affine.apply(x.flatten(2), p["weight"], p.get("bias"))  # type: ignore[no-untyped-call]
    return y


def flatten(word: pool_words.Flatten, x: Tensor, own: LayerInputs) -> Tensor:
    """Merges axes; those of the specification begin at the batch."""
    axes = [axis + 1 if axis >= 0 else axis for axis in (word.start_dim, word.end_dim)]
    return x.flatten(*axes)


def dropout(word: norm_words.Dropout, x: Tensor, own: LayerInputs) -> Tensor:
    """Multiplies by the masks that were drawn for this iteration."""
    return x if own.mask is None else x * own.mask


def elementwise(
    function: Callable[[Any, Tensor], Tensor],
) -> Callable[[Any, Tensor, LayerInputs], Tensor]:
    """A layer that looks at one number at a time: whole vectors of one job at a time."""

    def layer(word: Any, x: Tensor, own: LayerInputs) -> Tensor:
        rows = x.flatten(1)
        size = rows.shape[1]
        rows = function(word, functional.pad(rows, (0, -size % ROW_VALUES)))
        return rows[:, :size].view(x.shape)

    return layer


Along = Callable[[Tensor, int], Tensor]


def along(function: Along, x: Tensor, axis: int) -> Tensor:
    """``softmax`` or ``log_softmax`` along an axis. Along a short last one torch goes number by
    number, so that axis changes places with the one before it: up to ten times as fast."""
    axis %= x.dim()
    if axis < 2 or axis != x.dim() - 1 or x.shape[-1] >= MIN_FAST_SOFTMAX_VALUES:
        return function(x, axis)
    return function(x.mT.contiguous(), axis - 1).mT


def probabilities(function: Along) -> Callable[[Any, Tensor, LayerInputs], Tensor]:
    """A layer along one axis; those of the specification begin at the batch."""
    return lambda word, x, own: along(function, x, word.dim + 1 if word.dim >= 0 else word.dim)


def relu(word: activations.Relu, x: Tensor, own: LayerInputs) -> Tensor:
    """A comparison is exact in every instruction."""
    return torch.relu(x)


LAYERS: dict[str, Callable[[Any, Tensor, LayerInputs], Tensor]] = {
    "linear": linear,
    "flatten": flatten,
    "dropout": dropout,
    "relu": relu,
    "leaky_relu": elementwise(lambda word, x: functional.leaky_relu(x, word.negative_slope)),
    "gelu": elementwise(lambda word, x: functional.gelu(x, approximate=word.approximate)),
    "silu": elementwise(lambda word, x: functional.silu(x)),
    "elu": elementwise(lambda word, x: functional.elu(x, word.alpha)),
    "softplus": elementwise(lambda word, x: functional.softplus(x, word.beta, word.threshold)),
    "tanh": elementwise(lambda word, x: torch.tanh(x)),
    "sigmoid": elementwise(lambda word, x: torch.sigmoid(x)),
    "softmax": probabilities(torch.softmax),
    "log_softmax": probabilities(torch.log_softmax),
}
"""Every layer of ``training.validation.fusion_rules.FUSABLE``; the network goes through a residual
block."""


def weighted(of_each_KB: Tensor, weights_KB: Tensor | None) -> Tensor:
    """The mean over the batch [K], weighted by the classes of its examples."""
    if weights_KB is None:
        return of_each_KB.mean(1)
    return (of_each_KB * weights_KB).sum(1) / weights_KB.sum(1)


def nll(
    logarithms_KBC: Tensor, target_KB: Tensor, weight_C: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """−output of the true class [K], and what its examples weigh [K, B]."""
    of_each_KB = functional.nll_loss(logarithms_KBC.mT, target_KB, reduction="none")
    weights_KB = None if weight_C is None else weight_C[target_KB]
    return weighted(of_each_KB, weights_KB), weights_KB


def cross_entropy(
    word: loss_words.CrossEntropy, logits_KBC: Tensor, target_KB: Tensor, weights: LossWeights
) -> Tensor:
    """As ``torch.nn.functional.cross_entropy``, a job at a time."""
    logarithms_KBC, weight_C = along(torch.log_softmax, logits_KBC, -1), weights.get("class")
    loss_K, weights_KB = nll(logarithms_KBC, target_KB, weight_C)
    if not word.label_smoothing:
        return loss_K
    each_KBC = logarithms_KBC if weight_C is None else logarithms_KBC * weight_C
    total_K = -each_KBC.sum(-1).sum(1)
    smooth_K = total_K / (target_KB.shape[1] if weights_KB is None else weights_KB.sum(1))
    share = word.label_smoothing
    return (1.0 - share) * loss_K + share / logits_KBC.shape[-1] * smooth_K


def nll_loss(
    word: loss_words.NllLoss, logarithms_KBC: Tensor, target_KB: Tensor, weights: LossWeights
) -> Tensor:
    """−output of the true class."""
    return nll(logarithms_KBC, target_KB, weights.get("class"))[0]


def of_each(
    function: Callable[[Any, Tensor, Tensor, LossWeights], Tensor],
) -> Callable[[Any, Tensor, Tensor, LossWeights], Tensor]:
    """A loss that is the mean of what each number loses; whole vectors of one job at a time."""

    def loss(word: Any, output: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
        output_KN, target_KN = output.flatten(1), target.to(output.dtype).flatten(1)
        size = output_KN.shape[1]
        pad = (0, -size % ROW_VALUES)
        padded = function(
            word, functional.pad(output_KN, pad), functional.pad(target_KN, pad), weights
        )
        return padded[:, :size].mean(1)

    return loss


LOSSES: dict[str, Callable[[Any, Tensor, Tensor, LossWeights], Tensor]] = {
    "cross_entropy": cross_entropy,
    "nll_loss": nll_loss,
    "bce_with_logits": of_each(
        lambda word, z, y, weights: functional.binary_cross_entropy_with_logits(
            z, y, pos_weight=weights.get("positive"), reduction="none"
        )
    ),
    "mse_loss": of_each(lambda word, y, t, _: functional.mse_loss(y, t, reduction="none")),
    "l1_loss": of_each(lambda word, y, t, _: functional.l1_loss(y, t, reduction="none")),
    "smooth_l1_loss": of_each(
        lambda word, y, t, _: functional.smooth_l1_loss(y, t, reduction="none", beta=word.beta)
    ),
    "huber_loss": of_each(
        lambda word, y, t, _: functional.huber_loss(y, t, reduction="none", delta=word.delta)
    ),
}


def width(size: int) -> int:
    """How long a row is that holds so many numbers."""
    return math.ceil(size / ROW_VALUES) * ROW_VALUES
