"""The torch-free rules for shapes and parameters against torch's meta device."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import nn

from tests.training.catalog.meta import CASES, outcome, owned, pairs, shapes, torchs
from training.catalog import LAYERS, Shape, ShapeError


@CASES
@given(
    shapes,
    st.fixed_dictionaries(
        {"out_channels": st.integers(1, 6), "kernel_size": pairs(1, 4)},
        optional={
            "stride": pairs(1, 3),
            "padding": pairs(0, 3) | st.sampled_from(["same", "valid"]),
            "dilation": pairs(1, 3),
            "groups": st.integers(1, 4),
            "bias": st.booleans(),
        },
    ),
)
def test_conv2d_puts_out_and_owns_what_torch_says(shape: Shape, arguments: Any) -> None:
    assume(len(shape) != 2)  # torch takes (batch, height, width) for one image without a batch
    word = LAYERS["conv2d"].model_validate({"type": "conv2d", **arguments})
    theirs, tensors = torchs(lambda: nn.Conv2d(shape[0], device="meta", **arguments), shape)
    assert outcome(word, shape) == theirs
    if theirs is not None:
        assert owned(word, shape) == tensors


@example((1, 9, 9), {"kernel_size": 2, "stride": 5, "padding": 1, "ceil_mode": True})
@CASES
@given(
    shapes,
    st.fixed_dictionaries(
        {"kernel_size": pairs(1, 4)},
        optional={
            "stride": pairs(1, 4),
            "padding": pairs(0, 3),
            "dilation": pairs(1, 3),
            "ceil_mode": st.booleans(),
        },
    ),
)
def test_max_pool2d_puts_out_what_torch_says(shape: Shape, arguments: Any) -> None:
    assume(len(shape) != 2)
    word = LAYERS["max_pool2d"].model_validate({"type": "max_pool2d", **arguments})
    theirs, _ = torchs(lambda: nn.MaxPool2d(**arguments), shape)
    assert outcome(word, shape) == theirs


@CASES
@given(shapes, st.integers(1, 5), st.integers(-6, 5))
def test_flatten_puts_out_what_torch_says(shape: Shape, start: int, end: int) -> None:
    word = LAYERS["flatten"].model_validate({"type": "flatten", "start_dim": start, "end_dim": end})
    theirs, _ = torchs(lambda: nn.Flatten(start, end), shape)
    assert outcome(word, shape) == theirs


@given(shapes, st.booleans())
def test_linear_puts_out_and_owns_what_torch_says_of_flat_inputs(shape: Shape, bias: bool) -> None:
    word = LAYERS["linear"].model_validate({"type": "linear", "out_features": 5, "bias": bias})
    theirs, tensors = torchs(
        lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5, bias=bias, device="meta")), shape
    )
    assert outcome(word, shape) == theirs
    assert {f"1.{name}": size for name, size in owned(word, shape).items()} == tensors


@given(shapes, st.sampled_from(["1d", "2d"]), st.booleans())
def test_batch_norm_puts_out_and_owns_what_torch_says(
    shape: Shape, kind: str, affine: bool
) -> None:
    word = LAYERS[f"batch_norm{kind}"].model_validate(
        {"type": f"batch_norm{kind}", "affine": affine}
    )
    twin = {"1d": nn.BatchNorm1d, "2d": nn.BatchNorm2d}[kind]
    theirs, tensors = torchs(lambda: twin(shape[0], affine=affine, device="meta"), shape)
    assert outcome(word, shape) == theirs
    if theirs is not None:
        assert owned(word, shape) == tensors


@pytest.mark.parametrize(
    "name",
    ["relu", "tanh", "sigmoid", "leaky_relu", "gelu", "silu", "elu", "softplus", "dropout"],
)
def test_the_other_layers_change_no_shape_and_own_nothing(name: str) -> None:
    word = LAYERS[name].model_validate({"type": name})
    for shape in ((4,), (2, 5), (1, 8, 8)):
        assert word.output_shape(shape) == shape
        assert owned(word, shape) == {}
        assert word.values_per_channel(shape) is None


@pytest.mark.parametrize(
    ("word", "shape", "sentence"),
    [
        (
            {"type": "conv2d", "out_channels": 4, "kernel_size": 3},
            (64,),
            "expects channels×height×width, but 64 comes in",
        ),
        (
            {"type": "conv2d", "out_channels": 4, "kernel_size": 5, "dilation": 2},
            (1, 8, 8),
            "a window of 9 does not fit into 8 (input 8×8, padding 0)",
        ),
        (
            {"type": "conv2d", "out_channels": 4, "kernel_size": 3, "groups": 2},
            (1, 8, 8),
            "groups = 2 must divide the 1 channels that come in and the 4 that go out",
        ),
        (
            {
                "type": "conv2d",
                "out_channels": 4,
                "kernel_size": 3,
                "padding": "same",
                "stride": 2,
            },
            (1, 8, 8),
            'padding "same" needs stride 1',
        ),
        (
            {"type": "flatten", "start_dim": 2},
            (64,),
            "axes 2 to -1 do not exist in 64",
        ),
        (
            {"type": "batch_norm1d"},
            (4, 8, 8),
            "expects features or channels×length, but 4×8×8 comes in; for images use batch_norm2d",
        ),
    ],
)
def test_a_shape_that_does_not_fit_is_told_in_a_sentence(
    word: dict[str, Any], shape: Shape, sentence: str
) -> None:
    with pytest.raises(ShapeError) as refused:
        LAYERS[word["type"]].model_validate(word).output_shape(shape)
    assert str(refused.value) == sentence
