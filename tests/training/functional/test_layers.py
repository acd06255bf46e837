"""Every layer against its twin in torch.nn, under the same state_dict."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.small_jobs import FLOAT64
from tests.training.twins import IMAGE, Twin, twins
from training.catalog import LAYERS
from training.functional.network import Network
from training.spec.job_spec import Model
from training.spec.plan import infer_shapes


def network_of(word: Any, shape: tuple[int, ...]) -> Network:
    """A network of this one layer."""
    return Network(infer_shapes(Model.model_validate({"layers": [word]}), shape))


def examples(shape: tuple[int, ...], batch: int = 6) -> Tensor:
    """Inputs without ties, some of them negative."""
    return torch.randn(batch, *shape, generator=torch.manual_seed(1), dtype=torch.float64)


def inputs(twin: Twin, batch: int = 6) -> Tensor:
    """Examples that the layer can take."""
    if twin.rows is None:
        return examples(twin.shape, batch)
    generator = torch.manual_seed(1)
    return torch.randint(twin.rows, (batch, *twin.shape), generator=generator).double()


def state_of(network: Network, twin: Twin) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The module's parameters and buffers under our names."""
    nested = network.layers[0].layers
    names = {
        name: f"0.{name if nested else name.split('.')[-1]}" for name in twin.module.state_dict()
    }
    parameters: dict[str, Tensor] = {
        names[name]: tensor for name, tensor in twin.module.named_parameters()
    }
    assert {name: tuple(p.shape) for name, p in parameters.items()} == {
        name: p.shape for name, p in network.parameters.items()
    }
    return parameters, {names[name]: b.clone() for name, b in twin.module.named_buffers()}


def test_every_layer_of_the_catalogue_has_a_twin() -> None:
    words = [twin.word for twin in twins().values()]
    assert {word if isinstance(word, str) else word["type"] for word in words} == set(LAYERS)


@pytest.mark.parametrize("name", twins())
def test_a_layer_agrees_with_torch_in_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    twin = twins()[name]
    module = twin.module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    network = network_of(twin.word, twin.shape)
    parameters, buffers = state_of(network, twin)
    theirs_x, ours_x = inputs(twin), inputs(twin)
    wrt_theirs: list[Tensor] = list(module.parameters())
    wrt_ours = [parameters[name] for name in network.parameters]
    order = [[id(p) for p in wrt_theirs].index(id(p)) for p in wrt_ours]
    if twin.rows is None:
        wrt_theirs.append(theirs_x.requires_grad_())
        wrt_ours.append(ours_x.requires_grad_())
        order.append(len(order))

    theirs = module(theirs_x if twin.rows is None else theirs_x.long())
    ours, updated = network.apply(parameters, buffers, ours_x, {})

    assert ours.shape[1:] == network.layers[0].output_shape
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    weights = torch.randn(theirs.shape, dtype=torch.float64)
    wanted = torch.autograd.grad((theirs * weights).sum(), wrt_theirs)
    got = torch.autograd.grad((ours * weights).sum(), wrt_ours)
    for ours_grad, at in zip(got, order, strict=True):
        torch.testing.assert_close(ours_grad, wanted[at], rtol=1e-10, atol=1e-12)
    _, moved = state_of(network, twin)  # by torch, in its forward pass
    torch.testing.assert_close(updated, moved, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in twins() if "batch_norm" in n or n == "residual"])
def test_running_statistics_agree_with_torch_after_several_updates(name: str) -> None:
    twin = twins()[name]
    module, shape = twin.module.double(), twin.shape
    network = network_of(twin.word, shape)
    parameters, buffers = state_of(network, twin)
    for batch in range(2, 7):
        x = 3 + batch * examples(shape, batch)
        module(x)
        _, buffers = network.apply(parameters, buffers, x, {})

    torch.testing.assert_close(buffers, state_of(network, twin)[1], rtol=1e-10, atol=1e-12)
    module.eval()
    x = examples(shape)
    ours, unchanged = network.apply(parameters, buffers, x)
    torch.testing.assert_close(ours, module(x), rtol=1e-10, atol=1e-12)
    assert all(unchanged[name] is buffers[name] for name in buffers)


@pytest.mark.parametrize("shape", [(6,), IMAGE])
def test_dropout_multiplies_by_the_mask_that_it_is_given(shape: tuple[int, ...]) -> None:
    network = network_of({"type": "dropout", "p": 0.75}, shape)
    x = examples(shape).requires_grad_()
    mask = (torch.rand(x.shape) > 0.75).double() * 4
    output, _ = network.apply({}, {}, x, {"0": mask})
    assert torch.equal(output, x * mask)
    assert torch.equal(torch.autograd.grad(output.sum(), x)[0], mask)


def test_dropout_lets_everything_pass_in_evaluation() -> None:
    x = examples((6,))
    output, _ = network_of({"type": "dropout", "p": 0.75}, (6,)).apply({}, {}, x)
    assert torch.equal(output, x)


def test_dropout_inside_a_block_has_a_mask_of_its_own_by_its_full_path() -> None:
    inner = {"type": "residual", "layers": [{"type": "dropout", "name": "drop"}], "name": "in"}
    network = network_of({"type": "residual", "layers": [inner]}, (6,))
    x, mask = examples((6,)), examples((6,)) > 0
    output, _ = network.apply({}, {}, x, {"0.in.drop": mask * 2.0})
    assert torch.equal(output, x * (mask * 2.0) + x + x)


def test_a_named_layer_owns_its_tensors_under_its_name() -> None:
    network = network_of({"type": "batch_norm2d", "name": "norm"}, IMAGE)
    assert list(network.parameters) == ["norm.weight", "norm.bias"]
    assert list(network.initial_buffers(FLOAT64)) == [
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]


def test_a_network_starts_with_the_constants_that_its_layers_ask_for() -> None:
    network = network_of(
        {"type": "linear", "out_features": 2, "init": {"type": "constant", "value": 2.5}}, (3,)
    )
    weight, bias = network.initial_parameters(0, FLOAT64).split([6, 2])
    assert (weight == 2.5).all()
    assert not (bias == 2.5).any()


def test_the_padding_of_an_embedding_starts_at_zero() -> None:
    word = {"type": "embedding", "num_embeddings": 5, "embedding_dim": 3, "padding_idx": 2}
    rows = network_of(word, (4,)).initial_parameters(0, FLOAT64).reshape(5, 3)
    assert (rows[2] == 0).all()
    assert (rows[[0, 1, 3, 4]] != 0).all()


def test_the_parameters_of_a_block_have_their_paths() -> None:
    block = {
        "type": "residual",
        "layers": [{"type": "linear", "out_features": 4, "name": "hidden"}, "batch_norm1d"],
    }
    network = network_of(block, (3,))
    assert list(network.parameters) == [
        "0.hidden.weight",
        "0.hidden.bias",
        "0.1.weight",
        "0.1.bias",
        "0.projection.weight",
    ]
    assert "0.1.running_mean" in network.initial_buffers(FLOAT64)
