"""A row's prediction has the same bits alone and in any company."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.catalog.layers import LAYERS
from training.functional import row_invariant_layers
from training.functional.network import Network
from training.spec.job_spec import Model
from training.spec.plan import infer_shapes
from training.tensors.numerics import Numerics

SIZES = st.one_of(st.integers(1, 40), st.sampled_from([64, 65, 100, 128, 200, 513, 784]))
MOST = 70

ARGUMENTS: dict[str, dict[str, Any]] = {"linear": {"out_features": 10}}
DENSE: list[dict[str, Any]] = [{"type": "linear", "out_features": 3}, {"type": "tanh"}]


def passed(layers: list[dict[str, Any]], width: int, x: Tensor, seed: int = 0) -> Tensor:
    """What comes out of a network with drawn weights."""
    planned = infer_shapes(Model.model_validate({"layers": layers}), (width,))
    assert row_invariant_layers.possible(planned)
    network, numerics = Network(planned, row_invariant_layers.FORWARD_BY_ROWS), Numerics.on("cpu")
    drawn = network.views(network.initial_parameters(seed, numerics))
    tensors = row_invariant_layers.widened(planned, drawn) | network.initial_buffers(numerics)
    with torch.inference_mode():
        filled = row_invariant_layers.filled_up(x)
        output, _ = network.apply(tensors, tensors, filled)
    return output[: len(x)]


def same_in_company(layers: list[dict[str, Any]], width: int, x: Tensor, at: int) -> None:
    """Row ``at`` alone, and among the others, of which some are no numbers."""
    alone = passed(layers, width, x[at : at + 1])
    company = x.clone()
    company[[i for i in range(len(x)) if i != at and i % 3 == 0]] = float("nan")
    assert torch.equal(passed(layers, width, company)[at], alone[0])


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(SIZES, min_size=1, max_size=3), SIZES, st.data())
def test_a_row_of_a_dense_network_depends_on_no_other(
    sizes: list[int], width: int, data: st.DataObject
) -> None:
    layers: list[dict[str, Any]] = []
    for size in sizes:
        bias = data.draw(st.booleans())
        layers.append({"type": "linear", "out_features": size, "bias": bias})
        layers.append(
            {"type": data.draw(st.sampled_from([*row_invariant_layers.BENT, "relu", "layer_norm"]))}
        )
    count, seed = data.draw(st.integers(1, MOST)), data.draw(st.integers(0, 2**32 - 1))
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width))).float()
    same_in_company(layers, width, x, data.draw(st.integers(0, count - 1)))


@pytest.mark.parametrize("width", [1, 3, 13, 64])
@pytest.mark.parametrize("layer", sorted(set(row_invariant_layers.FORWARD_BY_ROWS) - {"embedding"}))
def test_every_layer_that_is_said_to_leaves_rows_alone(layer: str, width: int) -> None:
    word = {"type": layer, **ARGUMENTS.get(layer, {})}
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(MOST, width))).float()
    for count in (2, 7, 9, 31, MOST):
        for at in (0, count // 2, count - 1):
            same_in_company([word, *DENSE], width, x[:count], at)


def test_an_embedding_leaves_rows_alone() -> None:
    layers = [{"type": "embedding", "num_embeddings": 7, "embedding_dim": 5}, *DENSE]
    planned = infer_shapes(Model.model_validate({"layers": layers}), (3,))
    network, numerics = Network(planned, row_invariant_layers.FORWARD_BY_ROWS), Numerics.on("cpu")
    tensors = row_invariant_layers.widened(
        planned, network.views(network.initial_parameters(0, numerics))
    )

    def out(x: Tensor) -> Tensor:
        return network.apply(tensors, {}, row_invariant_layers.filled_up(x))[0][: len(x)]

    x = torch.from_numpy(np.random.default_rng(0).integers(0, 7, (20, 3))).float()
    assert torch.equal(out(x), torch.cat([out(x[i : i + 1]) for i in range(20)]))


def test_what_is_wider_computes_the_same() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 13))).float()
    planned = infer_shapes(Model.model_validate({"layers": DENSE}), (13,))
    network, numerics = Network(planned), Numerics.on("cpu")
    plainly, _ = network.apply(network.views(network.initial_parameters(0, numerics)), {}, x)
    torch.testing.assert_close(passed(DENSE, 13, x), plainly)


def test_a_convolution_is_not_said_to_leave_rows_alone() -> None:
    for name in ("conv1d", "conv2d", "residual"):
        assert name in LAYERS
        assert name not in row_invariant_layers.FORWARD_BY_ROWS
