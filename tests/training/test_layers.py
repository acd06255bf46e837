"""Every layer against its twin in torch.nn, under the same state_dict."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.engine import FLOAT64
from training.network import Network
from training.plan import follow
from training.spec import Model

Twin = tuple[Any, nn.Module, tuple[int, ...]]

IMAGE = (4, 9, 7)
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "asymmetric": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    "same": {"kernel_size": (3, 5), "padding": "same", "dilation": (2, 1)},
    "valid": {"kernel_size": 3, "padding": "valid", "stride": 2},
    "dilated": {"kernel_size": 2, "dilation": (2, 3), "padding": 2},
    "grouped": {"kernel_size": 3, "groups": 2, "bias": False},
    "depthwise": {"kernel_size": (1, 4), "groups": 4, "stride": (3, 2)},
}
POOLS: dict[str, dict[str, Any]] = {
    "asymmetric": {"kernel_size": (3, 2), "stride": (1, 2)},
    "padded": {"kernel_size": 3, "padding": 1},
    "dilated": {"kernel_size": 2, "dilation": (3, 2), "stride": 1},
    "ceil": {"kernel_size": 2, "ceil_mode": True},
    # 9 rows, padding 1: a third window of stride 5 would start at 10, in the padding at the end.
    "last window dropped": {"kernel_size": 2, "stride": (5, 4), "padding": 1, "ceil_mode": True},
}
NORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "eps and momentum": {"eps": 1e-2, "momentum": 0.37},
    "not affine": {"affine": False, "momentum": 0.9},
    "frozen statistics": {"momentum": 0.0},
}
NORM_SHAPES: list[tuple[str, type[nn.Module], tuple[int, ...]]] = [
    ("batch_norm1d", nn.BatchNorm1d, (6,)),
    ("batch_norm1d", nn.BatchNorm1d, (6, 5)),
    ("batch_norm2d", nn.BatchNorm2d, IMAGE),
]


def twins() -> dict[str, Twin]:
    """Our words, torch's module for the same arguments, and the shape of one example."""
    return {
        "linear": ({"type": "linear", "out_features": 5}, nn.Linear(6, 5), (6,)),
        "linear without bias": (
            {"type": "linear", "out_features": 3, "bias": False},
            nn.Linear(6, 3, bias=False),
            (6,),
        ),
        "linear on images": (
            {"type": "linear", "out_features": 5},
            # The flattening owns nothing, so that the names are those of a single layer.
            nn.Sequential(nn.Flatten(), nn.Linear(4 * 9 * 7, 5)),
            IMAGE,
        ),
        **{
            f"conv2d {name}": (
                {"type": "conv2d", "out_channels": 8, **arguments},
                nn.Conv2d(4, 8, **arguments),
                IMAGE,
            )
            for name, arguments in CONVOLUTIONS.items()
        },
        **{
            f"max_pool2d {name}": (
                {"type": "max_pool2d", **arguments},
                nn.MaxPool2d(**arguments),
                IMAGE,
            )
            for name, arguments in POOLS.items()
        },
        "flatten": ({"type": "flatten"}, nn.Flatten(), IMAGE),
        "flatten the first axes": (
            {"type": "flatten", "start_dim": 1, "end_dim": 2},
            nn.Flatten(1, 2),
            IMAGE,
        ),
        "flatten the last axes": (
            {"type": "flatten", "start_dim": 2, "end_dim": -1},
            nn.Flatten(2, -1),
            IMAGE,
        ),
        "relu": ("relu", nn.ReLU(), IMAGE),
        "tanh": ("tanh", nn.Tanh(), (6,)),
        "sigmoid": ("sigmoid", nn.Sigmoid(), (6,)),
        **{
            f"{word} {name} {len(shape)}": (
                {"type": word, **arguments},
                module(shape[0], **arguments),
                shape,
            )
            for name, arguments in NORMS.items()
            for word, module, shape in NORM_SHAPES
        },
    }


def network_of(word: Any, shape: tuple[int, ...]) -> Network:
    """A network of this one layer."""
    return Network(follow(Model.model_validate({"layers": [word]}), shape))


def examples(shape: tuple[int, ...], batch: int = 6) -> Tensor:
    """Inputs without ties, some of them negative."""
    return torch.randn(batch, *shape, generator=torch.manual_seed(1), dtype=torch.float64)


def state_of(network: Network, module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The module's parameters and buffers under our names."""
    parameters: dict[str, Tensor] = {
        f"0.{name.split('.')[-1]}": tensor for name, tensor in module.named_parameters()
    }
    assert set(parameters) == set(network.parameters)
    return parameters, {f"0.{name}": buffer.clone() for name, buffer in module.named_buffers()}


@pytest.mark.parametrize("name", twins())
def test_a_layer_agrees_with_torch_in_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    word, module, shape = twins()[name]
    module = module.double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    network = network_of(word, shape)
    parameters, buffers = state_of(network, module)
    x = examples(shape)
    theirs_x, ours_x = x.clone().requires_grad_(), x.clone().requires_grad_()

    theirs = module(theirs_x)
    ours, _ = network.apply(parameters, buffers, ours_x, {})

    assert ours.shape[1:] == network.layers[0].output_shape
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    weights = torch.randn(theirs.shape, dtype=torch.float64)
    wanted = torch.autograd.grad((theirs * weights).sum(), [theirs_x, *module.parameters()])
    got = torch.autograd.grad((ours * weights).sum(), [ours_x, *parameters.values()])
    for ours_grad, theirs_grad in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in twins() if "norm" in name])
def test_running_statistics_agree_with_torch_after_several_updates(name: str) -> None:
    word, module, shape = twins()[name]
    module = module.double()
    network = network_of(word, shape)
    parameters, buffers = state_of(network, module)
    for batch in range(2, 7):
        x = 3 + batch * examples(shape, batch)
        module(x)
        _, buffers = network.apply(parameters, buffers, x, {})

    for name, theirs in module.named_buffers():
        assert buffers[f"0.{name}"].dtype == theirs.dtype
        torch.testing.assert_close(buffers[f"0.{name}"], theirs, rtol=1e-10, atol=1e-12)
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
