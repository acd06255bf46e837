"""What the gate says about layers: which one, what comes in, what it expects."""

from typing import Any

import pytest

from tests.training.gate import CONV, LINEAR, digits, inline, mistakes, model
from training.catalog import LAYERS
from training.validation.check import Limits, check

EMBEDDING = {"type": "embedding", "num_embeddings": 6, "embedding_dim": 2}


def block(*layers: Any) -> dict[str, Any]:
    """A residual block."""
    return {"type": "residual", "layers": list(layers)}


MODEL: dict[str, tuple[Any, str, str, str]] = {
    "unknown layer": (
        model({"type": "conv2", "out_channels": 4, "kernel_size": 3}, LINEAR),
        "/model/layers/0/type",
        "unknown_name",
        "`conv2`: did you mean `conv2d`?",
    ),
    "unknown bare layer": (
        digits(model=["reluu", LINEAR]),
        "/model/0",
        "unknown_name",
        "`reluu`: did you mean `relu`?",
    ),
    "layer like no other": (
        model({"type": "xyzzy"}),
        "/model/layers/0/type",
        "unknown_name",
        f"`xyzzy`: known are {', '.join(sorted(LAYERS))}",
    ),
    "layer without a type": (
        model({"out_features": 3}),
        "/model/layers/0",
        "missing",
        "needs a `type`",
    ),
    "layer that is no object": (
        model(7),
        "/model/layers/0",
        "wrong_type",
        "must be an object",
    ),
    "convolution of what is flat": (
        model(LINEAR, CONV),
        "/model/layers/1",
        "shape_mismatch",
        "layer 1 (conv2d): expects channels×height×width, but 10 comes in",
    ),
    "named layer that does not fit": (
        model({**CONV, "kernel_size": 9, "name": "eye"}, LINEAR),
        "/model/layers/0",
        "shape_mismatch",
        "layer eye (conv2d): a window of 9 does not fit into 8 (input 8×8, padding 0)",
    ),
    "too few outputs": (
        model({"type": "linear", "out_features": 9}),
        "/model/layers/0",
        "shape_mismatch",
        "cross_entropy expects one output a class, 10 in all, but the last layer puts out 9",
    ),
    "outputs that are not flat": (
        model(CONV),
        "/model/layers/0",
        "shape_mismatch",
        "cross_entropy expects one output a class, 10 in all, but the last layer puts out 4×6×6",
    ),
    "too many outputs for one number": (
        digits(dataset="diabetes", loss="mse_loss"),
        "/model/layers/2",
        "shape_mismatch",
        "mse_loss expects 1 output, one a target column, but the last layer puts out 10",
    ),
    "unknown field of a layer": (
        model({**LINEAR, "out_feature": 3}),
        "/model/layers/0/out_feature",
        "unknown_field",
        "`out_feature`: did you mean `out_features`?",
    ),
    "bare word that needs arguments": (
        digits(model=["linear"]),
        "/model/0",
        "missing",
        "`out_features` is required",
    ),
    "missing argument": (
        model({"type": "linear"}),
        "/model/layers/0/out_features",
        "missing",
        "is required",
    ),
    "kernel of three axes": (
        model({**CONV, "kernel_size": [1, 2, 3]}, LINEAR),
        "/model/layers/0/kernel_size",
        "out_of_range",
        "must have at most 2 entries",
    ),
    "kernel of one axis": (
        model({**CONV, "kernel_size": [3]}, LINEAR),
        "/model/layers/0/kernel_size",
        "out_of_range",
        "must have at least 2 entries",
    ),
    "kernel of nothing": (
        model({**CONV, "kernel_size": [3, 0]}, LINEAR),
        "/model/layers/0/kernel_size/1",
        "out_of_range",
        "must be at least 1",
    ),
    "kernel as a string": (
        model({**CONV, "kernel_size": "3"}, LINEAR),
        "/model/layers/0/kernel_size",
        "wrong_type",
        "must be a whole number or a list",
    ),
    "stride that torch cannot hold": (
        model({"type": "max_pool2d", "kernel_size": 2, "stride": 2**31}, LINEAR),
        "/model/layers/0/stride",
        "out_of_range",
        "must be at most 2147483647 or a list",
    ),
    "padding without end": (
        model({"type": "max_pool2d", "kernel_size": 2**31 - 1, "padding": 2**30 - 1}, LINEAR),
        "/model/layers/0/padding",
        "out_of_range",
        "must be at most 10000 or a list",
    ),
    "padding by a wrong name": (
        model({**CONV, "padding": "sane"}, LINEAR),
        "/model/layers/0/padding",
        "wrong_type",
        "must be a whole number or a list or 'same' or 'valid'",
    ),
    "dropout of everything": (
        model({"type": "dropout", "p": 1.0}, LINEAR),
        "/model/layers/0/p",
        "out_of_range",
        "must be less than 1",
    ),
    "batch norm of a single row": (
        inline(model=["batch_norm1d", {"type": "linear", "out_features": 2}], batch_size=1),
        "/model/0",
        "batch_too_small",
        "layer 0 (batch_norm1d): a batch of one has no statistics",
    ),
    "two layers of one name": (
        model({**LINEAR, "name": "a"}, {**LINEAR, "name": "a"}),
        "/model/layers/1/name",
        "conflict",
        "`a` names two layers",
    ),
    "layer name": (
        model({**LINEAR, "name": "a.b"}),
        "/model/layers/0/name",
        "wrong_type",
        "may hold letters, digits and `_` only, and must not begin with a digit",
    ),
    "unknown layer in a block": (
        model(block(CONV, block("reluu")), LINEAR),
        "/model/layers/0/layers/1/layers/0",
        "unknown_name",
        "`reluu`: did you mean `relu`?",
    ),
    "unknown field of a layer in a block": (
        model(block(LINEAR, {"type": "leaky_relu", "negativ_slope": 0.1}), LINEAR),
        "/model/layers/0/layers/1/negativ_slope",
        "unknown_field",
        "`negativ_slope`: did you mean `negative_slope`?",
    ),
    "unknown field of a block": (
        digits(model=[{**block(LINEAR), "layer": []}]),
        "/model/0/layer",
        "unknown_field",
        "`layer`: did you mean `layers`?",
    ),
    "block without layers": (
        model(block(), LINEAR),
        "/model/layers/0/layers",
        "out_of_range",
        "must have at least 1 entry",
    ),
    "layer of a block that does not fit": (
        model(CONV, block("flatten", CONV), LINEAR),
        "/model/layers/1/layers/1",
        "shape_mismatch",
        "layer 1.1 (conv2d): expects channels×height×width, but 144 comes in",
    ),
    "block whose skip does not fit": (
        model(block(CONV), LINEAR),
        "/model/layers/0",
        "shape_mismatch",
        "layer 0 (residual): the block makes 6 of 8 along an axis, and no stride of its skip "
        "does; use padding, or a stride",
    ),
    "layer in a block named as the skip": (
        model(block({**LINEAR, "name": "projection"})),
        "/model/layers/0/layers/0/name",
        "conflict",
        "`0.projection` names the skip of a block",
    ),
    "two layers of one name in a block": (
        model(block({**LINEAR, "name": "a"}, {**LINEAR, "name": "a"})),
        "/model/layers/0/layers/1/name",
        "conflict",
        "`0.a` names two layers",
    ),
    "batch norm of a single row in a block": (
        inline(model=[block("batch_norm1d"), {"type": "linear", "out_features": 2}], batch_size=1),
        "/model/0/layers/0",
        "batch_too_small",
        "layer 0.0 (batch_norm1d): a batch of one has no statistics",
    ),
    "embedding behind another layer": (
        model("flatten", {**EMBEDDING, "num_embeddings": 17}, LINEAR),
        "/model/layers/1",
        "conflict",
        "layer 1 (embedding): looks up whole numbers of the data, so it must be the first layer",
    ),
    "embedding in a block": (
        digits(
            model=[block({**EMBEDDING, "num_embeddings": 17}, "flatten"), LINEAR],
        ),
        "/model/0/layers/0",
        "conflict",
        "layer 0.0 (embedding): looks up whole numbers of the data, so it must be the first layer",
    ),
    "embedding of prepared data": (
        digits(model=[{**EMBEDDING, "num_embeddings": 17}, LINEAR], prepare="standardize"),
        "/prepare",
        "conflict",
        "must be `none`: the embedding looks up the numbers as they are",
    ),
    "embedding of too few rows": (
        digits(model=[{**EMBEDDING, "num_embeddings": 16}, LINEAR]),
        "/dataset",
        "out_of_range",
        "row 1: 16 is no whole number from 0 to 15",
    ),
    "embedding of an index beyond its rows": (
        inline(model=[EMBEDDING, {"type": "linear", "out_features": 2}]),
        "/dataset/x/2/1",
        "out_of_range",
        "6 is no whole number from 0 to 5",
    ),
    "embedding of a fraction": (
        inline(
            dataset={"x": [0, 0.5, 1], "y": [0, 1, 0]},
            model=[EMBEDDING, {"type": "linear", "out_features": 2}],
        ),
        "/dataset/x/1",
        "out_of_range",
        "0.5 is no whole number from 0 to 5",
    ),
    "padding that is no row": (
        model({**EMBEDDING, "padding_idx": 6}, LINEAR),
        "/model/layers/0",
        "conflict",
        "padding_idx must be within the 6 rows of num_embeddings",
    ),
    "approximation by a wrong name": (
        model({"type": "gelu", "approximate": "tan"}, LINEAR),
        "/model/layers/0/approximate",
        "unknown_name",
        "must be 'none' or 'tanh'",
    ),
    "unknown start": (
        model({**LINEAR, "init": "kaiming_unifrom"}),
        "/model/layers/0/init",
        "unknown_name",
        "`kaiming_unifrom`: did you mean `kaiming_uniform`?",
    ),
    "unknown field of a start": (
        model({**LINEAR, "init": {"type": "xavier_normal", "gian": 2.0}}),
        "/model/layers/0/init/gian",
        "unknown_field",
        "`gian`: did you mean `gain`?",
    ),
    "orthogonal start without end": (
        model(
            {"type": "linear", "out_features": 6_000},
            {"type": "linear", "out_features": 6_000, "init": "orthogonal"},
            LINEAR,
        ),
        "/model/layers/1",
        "shape_mismatch",
        "layer 1 (linear): an orthogonal start of 6000×6000 would take too long",
    ),
    "no layer": (digits(model=[]), "/model", "out_of_range", "must have at least 1 entry"),
    "nothing to train": (
        {
            **inline(dataset={"x": [1.0, 2.0], "y": [1.0, 2.0]}, loss="mse_loss"),
            "model": ["tanh"],
        },
        "/model",
        "nothing_to_train",
        "no layer has a parameter to train",
    ),
}


@pytest.mark.parametrize("name", MODEL)
def test_a_mistake_of_the_model_is_told_in_a_sentence_where_it_is(name: str) -> None:
    raw, *wanted = MODEL[name]
    assert mistakes(raw) == [tuple(wanted)]


def test_a_bad_section_does_not_hide_the_shapes_of_the_layers_before_it() -> None:
    raw = digits(model=[CONV, "flatten", CONV, {"type": "nonsense"}])
    assert [mistake[0] for mistake in mistakes(raw)] == ["/model/3/type", "/model/2"]


# Blocks within blocks.


def nested(depth: int) -> Any:
    """So many blocks in one another."""
    layer: Any = "relu"
    for _ in range(depth):
        layer = block(layer)
    return layer


@pytest.mark.parametrize("depth", [9, 100, 300])
def test_blocks_too_deep_in_one_another_are_refused(depth: int) -> None:
    assert check(model(nested(8), LINEAR)).parameter_count == 650
    (mistake,) = mistakes(model(nested(depth), LINEAR))
    assert mistake == (
        "/model/layers/0" + "/layers/0" * 8 + "/layers",
        "limit_exceeded",
        "more than 8 residual blocks lie within one another",
    )


def test_layers_in_blocks_count() -> None:
    raw = model(block("relu", block("tanh", "tanh")), LINEAR)
    assert check(raw, Limits(layers=6)).parameter_count == 650
    assert mistakes(raw, Limits(layers=5)) == [
        ("/model/layers", "limit_exceeded", "6 layers are more than the 5 allowed")
    ]


def test_a_block_too_many_does_not_hide_the_mistakes_of_the_others() -> None:
    raw = digits(model=[nested(20)], loss="cross_entropi", batch_size=0)
    assert [m.pointer for m in mistakes(raw)] == [
        "/model/0" + "/layers/0" * 8 + "/layers",
        "/loss",
        "/batch_size",
    ]


def test_an_embedding_leaves_the_data_as_they_are() -> None:
    plan = check(digits(model=[{**EMBEDDING, "num_embeddings": 17}, LINEAR]))
    assert plan.preparation == "none"
