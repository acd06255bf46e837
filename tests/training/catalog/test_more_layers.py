"""The rules of series, pools of means, norms, embeddings and blocks against the meta device."""

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from tests.training.catalog.meta import CASES, images, outcome, owned, pairs, shapes, torchs
from training.catalog import LAYERS, Shape, ShapeError
from training.catalog.layers import LayerConfig


def word_of(**arguments: Any) -> LayerConfig:
    return LAYERS[arguments["type"]].model_validate(arguments)


@CASES
@given(
    shapes,
    st.fixed_dictionaries(
        {"out_channels": st.integers(1, 6), "kernel_size": st.integers(1, 4)},
        optional={
            "stride": st.integers(1, 3) | st.tuples(st.integers(1, 3)),
            "padding": st.integers(0, 3) | st.sampled_from(["same", "valid"]),
            "dilation": st.integers(1, 3),
            "groups": st.integers(1, 4),
            "bias": st.booleans(),
        },
    ),
)
def test_conv1d_puts_out_and_owns_what_torch_says(shape: Shape, arguments: Any) -> None:
    assume(len(shape) != 1)  # torch takes (batch, length) for one series without a batch
    word = word_of(type="conv1d", **arguments)
    theirs, tensors = torchs(lambda: nn.Conv1d(shape[0], device="meta", **arguments), shape)
    assert outcome(word, shape) == theirs
    if theirs is not None:
        assert owned(word, shape) == tensors


@CASES
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 12)),
    st.fixed_dictionaries(
        {"kernel_size": st.integers(1, 4)},
        optional={
            "stride": st.integers(1, 4),
            "padding": st.integers(0, 3),
            "dilation": st.integers(1, 3),
            "ceil_mode": st.booleans(),
        },
    ),
)
def test_max_pool1d_puts_out_what_torch_says(shape: Shape, arguments: Any) -> None:
    word = word_of(type="max_pool1d", **arguments)
    theirs, _ = torchs(lambda: nn.MaxPool1d(**arguments), shape)
    assert outcome(word, shape) == theirs


@CASES
@given(
    shapes,
    st.fixed_dictionaries(
        {"kernel_size": pairs(1, 4)},
        optional={
            "stride": pairs(1, 4),
            "padding": pairs(0, 3),
            "ceil_mode": st.booleans(),
            "count_include_pad": st.booleans(),
            "divisor_override": st.integers(1, 5),
        },
    ),
)
def test_avg_pool2d_puts_out_what_torch_says(shape: Shape, arguments: Any) -> None:
    assume(len(shape) != 2)
    word = word_of(type="avg_pool2d", **arguments)
    theirs, _ = torchs(lambda: nn.AvgPool2d(**arguments), shape)
    assert outcome(word, shape) == theirs


@CASES
@given(images, st.integers(1, 9) | st.tuples(*[st.none() | st.integers(1, 9)] * 2))
def test_adaptive_avg_pool2d_puts_out_what_torch_says(shape: Shape, size: Any) -> None:
    word = word_of(type="adaptive_avg_pool2d", output_size=size)
    theirs, _ = torchs(lambda: nn.AdaptiveAvgPool2d(size), shape)
    assert outcome(word, shape) == theirs


@CASES
@given(shapes, st.data(), st.booleans(), st.booleans())
def test_layer_norm_puts_out_and_owns_what_torch_says(
    shape: Shape, data: Any, affine: bool, bias: bool
) -> None:
    tail = st.sampled_from([shape[i:] for i in range(len(shape))])
    sizes = data.draw(tail | st.integers(1, 7) | st.lists(st.integers(1, 7), min_size=1).map(tuple))
    options = {"elementwise_affine": affine, "bias": bias}
    word = word_of(type="layer_norm", normalized_shape=sizes, **options)
    theirs, tensors = torchs(lambda: nn.LayerNorm(sizes, device="meta", **options), shape)
    assert outcome(word, shape) == theirs
    if theirs is not None:
        assert owned(word, shape) == tensors


@given(shapes)
def test_layer_norm_is_over_all_of_an_example_by_default(shape: Shape) -> None:
    tensors = nn.LayerNorm(shape, device="meta").state_dict()
    assert owned(word_of(type="layer_norm"), shape) == {n: p.shape for n, p in tensors.items()}


@given(shapes, st.integers(1, 5), st.booleans())
def test_group_norm_puts_out_and_owns_what_torch_says(
    shape: Shape, groups: int, affine: bool
) -> None:
    word = word_of(type="group_norm", num_groups=groups, affine=affine)
    theirs, tensors = torchs(
        lambda: nn.GroupNorm(groups, shape[0], affine=affine, device="meta"), shape
    )
    assert outcome(word, shape) == theirs
    if theirs is not None:
        assert owned(word, shape) == tensors


@given(shapes, st.integers(-5, 5))
def test_softmax_takes_the_axes_that_torch_takes_but_the_batch(shape: Shape, dim: int) -> None:
    assume(dim != 0 and -len(shape) <= dim <= len(shape))
    theirs, _ = torchs(lambda: nn.Softmax(dim), shape)
    assert outcome(word_of(type="softmax", dim=dim), shape) == theirs


@pytest.mark.parametrize("dim", [0, -3, 3, -4])
def test_softmax_does_not_mix_examples(dim: int) -> None:
    with pytest.raises(ShapeError, match="is none of an example's: 4×5 comes in"):
        word_of(type="softmax", dim=dim).output_shape((4, 5))


@given(shapes, st.integers(1, 9), st.integers(1, 9))
def test_embedding_puts_out_and_owns_what_torch_says(shape: Shape, rows: int, width: int) -> None:
    word = word_of(type="embedding", num_embeddings=rows, embedding_dim=width)
    module = nn.Embedding(rows, width, device="meta")
    indices = torch.empty(3, *shape, dtype=torch.int64, device="meta")
    assert word.output_shape(shape) == module(indices).shape[1:]
    assert owned(word, shape) == {"weight": (rows, width)}


@CASES
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 6), st.integers(0, 3))
def test_a_skip_has_the_stride_that_a_padded_convolution_has(
    size: int, kernel: int, stride: int, padding: int
) -> None:
    conv = {"type": "conv1d", "out_channels": 3, "kernel_size": kernel, "stride": stride}
    word = word_of(type="residual", layers=[{**conv, "padding": padding}])
    wanted = outcome(word_of(**conv, padding=padding), (2, size))
    try:
        out = word.output_shape((2, size))
    except ShapeError:
        reachable = {(size - 1) // step + 1 for step in range(1, size + 1)}
        assert wanted is None or wanted[1] not in reachable
        return
    assert out == wanted
    weight = word.parameters((2, size))["projection.weight"]
    assert weight.shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("word", "shape", "sentence"),
    [
        (
            {"type": "residual", "layers": [{"type": "max_pool1d", "kernel_size": 2, "stride": 1}]},
            (2, 8),
            "the block makes 7 of 8 along an axis, and no stride of its skip does; "
            "use padding, or a stride",
        ),
        (
            {
                "type": "residual",
                "layers": [{"type": "flatten", "end_dim": 2}],
            },
            (2, 8, 8),
            "no projection leads from 2×8×8 to 16×8, which comes out",
        ),
        (
            {"type": "conv1d", "out_channels": 4, "kernel_size": 3},
            (1, 8, 8),
            "expects channels×length, but 1×8×8 comes in",
        ),
        (
            {"type": "layer_norm", "normalized_shape": [8, 4]},
            (1, 8, 8),
            "normalized_shape 8×4 is not how 1×8×8 ends, which comes in",
        ),
        (
            {"type": "group_norm", "num_groups": 3},
            (4, 8, 8),
            "num_groups = 3 must divide the 4 channels that come in",
        ),
        (
            {"type": "avg_pool2d", "kernel_size": 2, "padding": 2},
            (1, 8, 8),
            "padding 2×2 must be at most half the kernel 2×2",
        ),
    ],
)
def test_a_shape_that_does_not_fit_is_told_in_a_sentence(
    word: dict[str, Any], shape: Shape, sentence: str
) -> None:
    with pytest.raises(ShapeError) as refused:
        word_of(**word).output_shape(shape)
    assert str(refused.value) == sentence
