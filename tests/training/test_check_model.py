"""What the gate says about layers: which one, what comes in, what it expects."""

from typing import Any

import pytest

from tests.training.gate import CONV, LINEAR, digits, inline, mistakes, model

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
        "`xyzzy`: known are batch_norm1d, batch_norm2d, conv2d, dropout, flatten, linear, "
        "max_pool2d, relu, sigmoid, tanh",
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
    "no layer": (digits(model=[]), "/model", "out_of_range", "must have at least 1 entries"),
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
