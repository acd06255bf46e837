"""The forward pass of a model that answers many at once: a row's bits depend on no other row.

A matrix product takes another path for another number of rows, and adds in another order: a row
alone and the same row among others differ in the last bits for nearly every shape (measured). So
rows are multiplied in tiles, always of the same size, one product each, with widths that keep every
row at the same alignment: the padding is of zeros, which change no sum. What torch computes with
vectors ends with a rest that it computes otherwise (the last values of a sigmoid, for instance):
here there is no rest. For convolutions nothing of the kind was found; a model with them answers one
request at a time.

N rows, T rows a tile.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.catalog.layers import affine
from training.functional.layers import FORWARD, LayerInputs
from training.functional.network import Tensors
from training.spec.plan import LayerPlan, walk

TILE_ROWS = 8
"""Rows that are multiplied together. A tile costs a large layer hardly more than one row does: it
reads its weights once for either."""
ALIGNED_VALUES = 16
"""Numbers of which every row of a matrix is a multiple: 64 bytes."""
VECTOR_VALUES = 64
"""Numbers that torch computes at once at the most (AVX-512, four at a time)."""


def linear(word: affine.Linear, x: Tensor, own: LayerInputs) -> Tensor:
    """[N, …] → [N, F] by tiles; the parameters are those of ``widened``."""
    weight_FW, bias_F = own.parameters["weight"], own.parameters.get("bias")
    features, width = weight_FW.shape
    x_NW = x.flatten(1)
    if x_NW.shape[1] != width:
        x_NW = functional.pad(x_NW, (0, width - x_NW.shape[1]))
    x_tTW = x_NW.reshape(-1, TILE_ROWS, width)
    tiles = len(x_tTW)
    weight_tWF = weight_FW.t().expand(tiles, width, features)
    if bias_F is None:
        y_tTF = torch.bmm(x_tTW, weight_tWF)
    else:
        y_tTF = torch.baddbmm(bias_F.expand(tiles, TILE_ROWS, features), x_tTW, weight_tWF)
    y_NF = y_tTF.view(-1, features)
    return y_NF if features == word.out_features else y_NF[:, : word.out_features].contiguous()


def without_rest(layer: str) -> Callable[[Any, Tensor, LayerInputs], Tensor]:
    """The elementwise layer, over whole vectors."""
    compute = FORWARD[layer]

    def computed(word: Any, x: Tensor, own: LayerInputs) -> Tensor:
        count = x.numel()
        rest = -count % VECTOR_VALUES
        if not rest:
            return compute(word, x, own)
        flat = functional.pad(x.flatten(), (0, rest))
        return compute(word, flat, own)[:count].view(x.shape)

    return computed


BENT = ("gelu", "silu", "elu", "softplus", "tanh", "sigmoid")
AS_THEY_ARE = (
    *("flatten", "embedding", "dropout", "relu", "leaky_relu", "softmax", "log_softmax"),
    *("batch_norm1d", "layer_norm"),
)
FORWARD_BY_ROWS: dict[str, Callable[[Any, Tensor, LayerInputs], Tensor]] = {
    "linear": linear,
    **{name: without_rest(name) for name in BENT},
    **{name: FORWARD[name] for name in AS_THEY_ARE},
}
"""The layers that leave rows alone; a test holds each of them to it."""


def possible(layers: Sequence[LayerPlan]) -> bool:
    """Whether all layers are such."""
    return all(layer.word.type in FORWARD_BY_ROWS for layer in walk(layers))


def widened(layers: Sequence[LayerPlan], tensors: Tensors) -> Tensors:
    """The tensors, with the matrices as ``linear`` wants them."""
    found = dict(tensors)
    for layer in walk(layers):
        if isinstance(layer.word, affine.Linear):
            weight_FW = tensors[f"{layer.path}.weight"]
            more, wider = (-size % ALIGNED_VALUES for size in weight_FW.shape)
            if more or wider:
                found[f"{layer.path}.weight"] = functional.pad(weight_FW, (0, wider, 0, more))
            if more and layer.word.bias:
                found[f"{layer.path}.bias"] = functional.pad(
                    tensors[f"{layer.path}.bias"], (0, more)
                )
    return found


def filled_up(x: Tensor) -> Tensor:
    """[N, …] → [tiles · T, …]: rows of zeros behind the last."""
    missing = -len(x) % TILE_ROWS
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x
