"""The gate: every mistake at once, each with a pointer into the user's own JSON and a sentence."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import specifications
from tests.specifications import DIGITS_MLP, Specification
from training.check import Limits, check
from training.mistakes import MOST, Mistake, Mistakes
from training.plan import Plan

OPTIMIZER = {"type": "sgd", "lr": 0.1}
LINEAR = {"type": "linear", "out_features": 10}
CONV = {"type": "conv2d", "out_channels": 4, "kernel_size": 3}


def mistakes(raw: Any, limits: Limits | None = None) -> list[tuple[str, str, str]]:
    """What is wrong with it."""
    with pytest.raises(Mistakes) as refused:
        check(raw, limits)
    return [tuple(mistake) for mistake in refused.value.mistakes]


def digits(**sections: Any) -> Specification:
    """The digits classifier with some sections changed; ``None`` leaves one out."""
    changed = {**copy.deepcopy(DIGITS_MLP), **sections}
    return {name: value for name, value in changed.items() if value is not None}


def inline(**sections: Any) -> Specification:
    """A small classifier on inline data."""
    return {
        "dataset": {"x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "y": [0, 1, 0]},
        "model": [{"type": "linear", "out_features": 2}],
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "iterations": 5,
        **sections,
    }


def model(*layers: Any) -> Specification:
    """The digits classifier with other layers."""
    return digits(model={"layers": list(layers)})


# One mistake at a time: what the user reads.

FIELDS = (
    "batch_size, checkpoint_every_seconds, convergence, dataset, device, early_stopping, epochs, "
    "evaluate_every, iterations, loss, metadata, metrics, model, name, optimizer, prepare, "
    "priority, schedule, seed, split"
)
ONE_OF = "exactly one of `iterations` and `epochs` must be given"

SINGLE: dict[str, tuple[Any, str, str, str]] = {
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
    "loss for numbers on classes": (
        digits(loss="mse_loss"),
        "/loss",
        "loss_target_mismatch",
        "mse_loss needs numbers as target, but this data has classes; use cross_entropy",
    ),
    "loss for classes on numbers": (
        digits(dataset="diabetes"),
        "/loss",
        "loss_target_mismatch",
        "cross_entropy needs classes as target, but this data has numbers; use mse_loss",
    ),
    "rate of zero": (
        digits(optimizer={"type": "sgd", "lr": 0}),
        "/optimizer/lr",
        "out_of_range",
        "must be greater than 0",
    ),
    "negative rate": (
        digits(optimizer={"type": "adam", "lr": -0.1}),
        "/optimizer/lr",
        "out_of_range",
        "must be greater than 0",
    ),
    "rate that is no number": (
        digits(optimizer={"type": "sgd", "lr": "fast"}),
        "/optimizer/lr",
        "wrong_type",
        "must be a number",
    ),
    "rate NaN": (
        digits(optimizer={"type": "sgd", "lr": math.nan}),
        "/optimizer/lr",
        "not_finite",
        "must be a finite number, not NaN or Inf",
    ),
    "nesterov alone": (
        digits(optimizer={**OPTIMIZER, "nesterov": True}),
        "/optimizer",
        "conflict",
        "nesterov needs a momentum above 0 and a dampening of 0",
    ),
    "one beta": (
        digits(optimizer={"type": "adam", "betas": [0.9]}),
        "/optimizer/betas",
        "out_of_range",
        "must have at least 2 entries",
    ),
    "beta of one": (
        digits(optimizer={"type": "adamw", "betas": [0.9, 1.0]}),
        "/optimizer/betas/1",
        "out_of_range",
        "must be less than 1",
    ),
    "iterations and epochs": (digits(epochs=3), "/epochs", "conflict", ONE_OF),
    "neither iterations nor epochs": (
        digits(iterations=None),
        "/iterations",
        "missing",
        ONE_OF,
    ),
    "no iteration": (digits(iterations=0), "/iterations", "out_of_range", "must be at least 1"),
    "half an iteration": (
        digits(iterations=1.5),
        "/iterations",
        "wrong_type",
        "must be a whole number",
    ),
    "iterations as true": (
        digits(iterations=True),
        "/iterations",
        "wrong_type",
        "must be a whole number",
    ),
    "unknown field": (
        digits(optimiser=OPTIMIZER),
        "/optimiser",
        "unknown_field",
        "`optimiser`: did you mean `optimizer`?",
    ),
    "field like no other": (digits(xyzzy=1), "/xyzzy", "unknown_field", f"`xyzzy`: known are {FIELDS}"),
    "unknown field of a layer": (
        model({**LINEAR, "out_feature": 3}),
        "/model/layers/0/out_feature",
        "unknown_field",
        "`out_feature`: did you mean `out_features`?",
    ),
    "unknown field of an optimizer": (
        digits(optimizer={**OPTIMIZER, "momentun": 0.9}),
        "/optimizer/momentun",
        "unknown_field",
        "`momentun`: did you mean `momentum`?",
    ),
    "unknown field with odd characters": (
        digits(**{"a/b~c": 1}),
        "/a~1b~0c",
        "unknown_field",
        f"`a/b~c`: known are {FIELDS}",
    ),
    "unknown field named as the word": (
        digits(optimizer={**OPTIMIZER, "sgd": 1}),
        "/optimizer/sgd",
        "unknown_field",
        "`sgd`: known are dampening, lr, momentum, nesterov, type, weight_decay",
    ),
    "unknown data set": (
        digits(dataset="digit"),
        "/dataset",
        "unknown_name",
        "`digit`: did you mean `digits`?",
    ),
    "data set that is a number": (digits(dataset=5), "/dataset", "wrong_type", "must be an object"),
    "unknown optimizer": (
        digits(optimizer="adan"),
        "/optimizer",
        "unknown_name",
        "`adan`: did you mean `adam`?",
    ),
    "unknown schedule": (
        digits(schedule={"type": "cosin"}),
        "/schedule/type",
        "unknown_name",
        "`cosin`: did you mean `cosine`?",
    ),
    "type that is no string": (
        digits(loss={"type": 5}),
        "/loss/type",
        "unknown_name",
        "`5`: known are cross_entropy, mse_loss",
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
    "batch by a wrong name": (
        digits(batch_size="ful"),
        "/batch_size",
        "wrong_type",
        "must be a whole number or 'full'",
    ),
    "dropout of everything": (
        model({"type": "dropout", "p": 1.0}, LINEAR),
        "/model/layers/0/p",
        "out_of_range",
        "must be less than 1",
    ),
    "batch norm of a single row": (
        {**model("batch_norm1d", LINEAR), "dataset": "iris", "batch_size": 1}
        | {"model": ["batch_norm1d", {"type": "linear", "out_features": 3}]},
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
    "job name": (
        digits(name="-x"),
        "/name",
        "wrong_type",
        "may hold letters, digits, `.`, `_` and `-` only, and must not begin with a sign",
    ),
    "job name without end": (
        digits(name="x" * 101),
        "/name",
        "out_of_range",
        "must be at most 100 characters long",
    ),
    "no layer": (digits(model=[]), "/model", "out_of_range", "must have at least 1 entries"),
    "nothing to train": (
        {**model("flatten"), "model": ["relu"]} | {"dataset": "diabetes", "loss": "mse_loss"},
        "/model",
        "nothing_to_train",
        "no layer has a parameter to train",
    ),
    "metric of numbers on classes": (
        digits(metrics=["accuracy", "r2"]),
        "/metrics/1",
        "metric_target_mismatch",
        "`r2` does not fit this target; known are accuracy",
    ),
    "unknown metric": (
        digits(metrics=["f1"]),
        "/metrics/0",
        "unknown_name",
        "must be 'accuracy', 'mse', 'mae' or 'r2'",
    ),
    "early stopping without validation data": (
        digits(split={"test": 0.2}, early_stopping={"patience": 3}),
        "/early_stopping",
        "conflict",
        "needs validation data: set `split.validation` above 0",
    ),
    "early stopping by what is not measured": (
        digits(early_stopping={"patience": 3, "metric": "validation_acuracy"}),
        "/early_stopping/metric",
        "unknown_name",
        "`validation_acuracy`: did you mean `validation_accuracy`?",
    ),
    "tolerance of zero": (
        digits(convergence={"tolerance": 0}),
        "/convergence/tolerance",
        "out_of_range",
        "must be greater than 0",
    ),
    "all data held back": (
        digits(split={"validation": 0.6, "test": 0.5}),
        "/split",
        "empty_split",
        "leaves no example of 1797 to train on",
    ),
    "split of nothing": (
        digits(split={"test": 0.0001}),
        "/split/test",
        "empty_split",
        "leaves no example of 1797",
    ),
    "share above one": (
        digits(split={"test": 1.0}),
        "/split/test",
        "out_of_range",
        "must be less than 1",
    ),
    "metadata of numbers": (
        digits(metadata={"a": 1}),
        "/metadata/a",
        "wrong_type",
        "must be a string",
    ),
    "number beyond all counting": (
        digits(iterations=10**400),
        "/iterations",
        "out_of_range",
        "must be at most 9223372036854775807",
    ),
    "nothing at all": ([], "", "wrong_type", "must be an object"),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_mistake_is_told_in_a_sentence_where_it_is(name: str) -> None:
    raw, *wanted = SINGLE[name]
    found = mistakes(raw)
    if name == "nothing to train":
        found = [mistake for mistake in found if mistake[1] != "shape_mismatch"]
    assert found == [tuple(wanted)]


INLINE: dict[str, tuple[Any, list[tuple[str, str, str]]]] = {
    "NaN": (
        {"x": [[1.0, math.nan], [math.inf, 4.0]], "y": [0, 1]},
        [
            ("/dataset/x/0/1", "not_finite", "must be a finite number, not NaN or Inf"),
            ("/dataset/x/1/0", "not_finite", "must be a finite number, not NaN or Inf"),
        ],
    ),
    "ragged": (
        {"x": [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]], "y": [0, 1, 0]},
        [
            ("/dataset/x/1", "shape_mismatch", "has 1 entries, but the first example has 2"),
            ("/dataset/x/2", "shape_mismatch", "has 3 entries, but the first example has 2"),
        ],
    ),
    "rows and bare numbers": (
        {"x": [[1.0, 2.0], 3.0], "y": [0, 1]},
        [("/dataset/x/1", "wrong_type", "must be a list of 2")],
    ),
    "strings": (
        {"x": [["1", 2.0], [3.0, "b"]], "y": [0, 1]},
        [
            ("/dataset/x/0/0", "wrong_type", "must be a number"),
            ("/dataset/x/1/1", "wrong_type", "must be a number"),
        ],
    ),
    "true": (
        {"x": [[1.0, True], [3, 4]], "y": [0, 1]},
        [("/dataset/x/0/1", "wrong_type", "must be a number")],
    ),
    "null and objects": (
        {"x": [[1.0, None], [{}, 4]], "y": [0, 1]},
        [
            ("/dataset/x/0/1", "wrong_type", "must be a number"),
            ("/dataset/x/1/0", "wrong_type", "must be a number"),
        ],
    ),
    "empty rows": (
        {"x": [[], []], "y": [0, 1]},
        [
            ("/dataset/x/0", "too_small", "must not be empty"),
            ("/dataset/x/1", "too_small", "must not be empty"),
        ],
    ),
    "no row": (
        {"x": [], "y": []},
        [("/dataset/x", "too_small", "at least one example is needed")],
    ),
    "one class": (
        {"x": [[1.0], [2.0]], "y": [1, 1]},
        [("/dataset/y", "one_class", "all examples have the same class")],
    ),
    "too few labels": (
        {"x": [[1.0], [2.0], [3.0]], "y": [0, 1]},
        [("/dataset/y", "length_mismatch", "x has 3 examples but y has 2")],
    ),
    "labels that are fractions": (
        {"x": [[1.0], [2.0], [3.0]], "y": [0.5, 1, True]},
        [
            ("/dataset/y/0", "wrong_type", "a class is a whole number or a string"),
            ("/dataset/y/2", "wrong_type", "a class is a whole number or a string"),
        ],
    ),
    "labels of two kinds": (
        {"x": [[1.0], [2.0]], "y": [0, "one"]},
        [("/dataset/y", "wrong_type", "classes are all numbers or all strings")],
    ),
    "missing targets": ({"x": [[1.0]]}, [("/dataset/y", "missing", "is required")]),
    "unknown field": (
        {"x": [[1.0], [2.0]], "y": [0, 1], "z": 1},
        [("/dataset/z", "unknown_field", "`z`: known are x, y")],
    ),
    "x that is no list": (
        {"x": 3, "y": [0, 1]},
        [("/dataset/x", "wrong_type", "must be a list")],
    ),
}


@pytest.mark.parametrize("name", INLINE)
def test_what_is_wrong_with_inline_data_is_told_where_it_is(name: str) -> None:
    dataset, wanted = INLINE[name]
    assert mistakes(inline(dataset=dataset)) == wanted


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        ([[1.0], [math.nan]], [("/dataset/y/1/0", "not_finite")]),
        ([[1.0], ["a"]], [("/dataset/y/1/0", "wrong_type")]),
        ([[1.0], [1.0, 2.0]], [("/dataset/y/1", "shape_mismatch")]),
        ([1.0, None], [("/dataset/y/1", "wrong_type")]),
    ],
)
def test_numbers_to_predict_are_checked_as_inputs_are(
    y: list[Any], wanted: list[tuple[str, str]]
) -> None:
    raw = inline(dataset={"x": [1.0, 2.0], "y": y}, loss="mse_loss")
    assert [mistake[:2] for mistake in mistakes(raw)] == wanted


def test_only_the_first_few_of_many_bad_numbers_are_listed() -> None:
    raw = inline(dataset={"x": [[math.nan] * 50] * 50, "y": [0, 1] * 25})
    assert len(mistakes(raw)) == 20
    assert len(mistakes({f"field{i}": 1 for i in range(5000)})) <= MOST + 1


def test_a_loss_that_cannot_be_read_blames_no_label() -> None:
    dataset = {"x": [[1.0], [2.0]], "y": ["a", "b"]}
    raw = inline(dataset=dataset, loss="cross_entropi", metrics=["accuracy"])
    assert mistakes(raw) == [("/loss", "unknown_name", "`cross_entropi`: did you mean `cross_entropy`?")]


# All at once.


def test_all_mistakes_come_at_once() -> None:
    raw = {
        "dataset": {"x": [[1.0, math.nan], [1.0]], "y": ["a", "b", "c"]},
        "split": {"validation": 2},
        "model": [
            {"type": "linear", "out_features": 0},
            "reluu",
            "conv2d",
            {"type": "dropout", "p": 1.5, "q": 1},
        ],
        "loss": {"type": "cross_entropy", "label_smoothing": 2},
        "optimizer": {"type": "sgd", "sgd": 3, "lr": -1, "momentum": "much"},
        "schedule": {"type": "cosine", "eta_min": -1},
        "batch_size": 0,
        "iterations": 10,
        "epochs": 1,
        "lr": 0.1,
    }
    assert sorted(pointer for pointer, _, _ in mistakes(raw)) == sorted(
        [
            "/batch_size",
            "/dataset/x/1",
            "/dataset/y",
            "/epochs",
            "/loss/label_smoothing",
            "/lr",
            "/model/0/out_features",
            "/model/1",
            "/model/2",
            "/model/2",
            "/model/3/p",
            "/model/3/q",
            "/optimizer/lr",
            "/optimizer/momentum",
            "/optimizer/sgd",
            "/schedule/eta_min",
            "/split/validation",
        ]
    )


def test_a_bad_section_does_not_hide_the_shapes_of_the_layers_before_it() -> None:
    raw = digits(model=[CONV, "flatten", CONV, {"type": "nonsense"}])
    assert [mistake[0] for mistake in mistakes(raw)] == ["/model/3/type", "/model/2"]


@pytest.mark.parametrize("section", ["dataset", "model", "loss", "optimizer"])
def test_a_required_section_that_is_missing_is_told_alone(section: str) -> None:
    assert mistakes(digits(**{section: None})) == [(f"/{section}", "missing", "is required")]


def test_the_exception_says_what_is_wrong() -> None:
    error = Mistakes([Mistake("", "a", "is odd"), Mistake("/x", "b", "is even")])
    assert str(error) == "/: is odd; /x: is even"


# Limits.


@pytest.mark.parametrize(
    ("raw", "limits", "wanted"),
    [
        (
            digits(),
            Limits(parameters=4809),
            ("/model/layers", "limit_exceeded", "4810 parameters are more than the 4809 allowed"),
        ),
        (
            digits(iterations=1001),
            Limits(iterations=1000),
            ("/iterations", "limit_exceeded", "1001 iterations are more than the 1000 allowed"),
        ),
        (
            digits(iterations=None, epochs=100),
            Limits(iterations=1000),
            ("/epochs", "limit_exceeded", "1966 iterations are more than the 1000 allowed"),
        ),
        (
            digits(),
            Limits(layers=2),
            ("/model/layers", "limit_exceeded", "3 layers are more than the 2 allowed"),
        ),
        (
            inline(),
            Limits(inline_values=8),
            ("/dataset", "limit_exceeded", "9 values are more than the 8 allowed inline"),
        ),
        (
            inline(
                dataset={"x": [1.0, 2.0], "y": [[1.0] * 5] * 2},
                loss="mse_loss",
                model=[{"type": "linear", "out_features": 5}],
            ),
            Limits(inline_values=11),
            ("/dataset", "limit_exceeded", "12 values are more than the 11 allowed inline"),
        ),
    ],
)
def test_what_is_too_large_is_refused(raw: Any, limits: Limits, wanted: Any) -> None:
    assert mistakes(raw, limits) == [wanted]


def test_limits_are_limits_and_not_beyond() -> None:
    limits = Limits(parameters=4810, iterations=1000, layers=3, inline_values=9)
    assert check(digits(), limits).parameter_count == 4810
    assert check(inline(), limits).parameter_count == 6


@pytest.mark.parametrize(
    "raw",
    [
        digits(iterations=None, epochs=2**63 - 1),
        digits(batch_size=2**63 - 1, iterations=None, epochs=1),
        model({"type": "linear", "out_features": 2**63 - 1}, LINEAR),
        model(*[{**CONV, "padding": 2**62}] * 50, LINEAR),
        model({**LINEAR, "init": {"type": "kaiming_uniform", "a": 1e200}}),
        digits(schedule={"type": "cosine", "warmup_iterations": 2**63 - 1, "t_max": 2**63 - 1}),
    ],
)
def test_huge_numbers_are_refused_or_planned_but_break_nothing(raw: Any) -> None:
    planned = gate(raw)
    if planned is not None:
        assert all(math.isfinite(planned.learning_rate(n)) for n in (0, 5))


# What is accepted.


def test_the_specification_of_the_contract_is_planned() -> None:
    plan = check(DIGITS_MLP)
    assert plan.rows == {"train": 1258, "validation": 180, "test": 359}
    assert plan.parameter_count == 64 * 64 + 64 + 64 * 10 + 10
    assert plan.iterations == 1000
    assert plan.evaluate_every == 20
    assert list(plan.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert plan.metrics == ("accuracy",)


def test_bare_strings_and_bare_lists_stand_for_the_whole() -> None:
    short = digits(model=[LINEAR], loss="cross_entropy", optimizer="adam", schedule="cosine")
    spelled = digits(
        model={"layers": [LINEAR]},
        loss={"type": "cross_entropy"},
        optimizer={"type": "adam"},
        schedule={"type": "cosine"},
    )
    assert check(short).spec == check(spelled).spec


def test_a_plan_comes_back_from_the_stored_specification() -> None:
    for name, raw in vars(specifications).items():
        if isinstance(raw, dict) and "dataset" in raw:
            plan = check(raw)
            assert check(plan.spec.model_dump(mode="json")) == plan, name


def test_labels_may_be_strings_and_rows_bare_numbers() -> None:
    plan = check(inline(dataset={"x": [1, 2.5, 3], "y": ["b", "a", "b"]}))
    assert plan.facts.input_shape == (1,)
    assert plan.facts.target.labels == ("a", "b")  # type: ignore[union-attr]


# Arbitrary JSON: a plan or its mistakes, and nothing else.

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_subnormal=False)  # this process flushes them
    | st.text(max_size=8)
    | st.sampled_from(
        ["full", "same", "sgd", "adam", "relu", "linear", "cosine", "mse_loss", "x", "y", "type"]
    )
)
KEYS = sorted(
    {*FIELDS.split(", "), "x", "y", "layers", "type", "lr", "betas", "p", "name", "init", "value"}
    | {"out_features", "kernel_size", "padding", "patience", "metric", "tolerance", "sgd", "inline"}
)
keys = st.sampled_from(KEYS) | st.text(max_size=5)
json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


def gate(raw: Any) -> Plan | None:
    """The plan, or ``None`` after it was refused with mistakes that point into ``raw``."""
    try:
        return check(raw)
    except Mistakes as refused:
        assert refused.mistakes
        for mistake in refused.mistakes:
            assert mistake.code
            assert mistake.message
            assert_leads_into(raw, mistake)
        return None


def assert_leads_into(raw: Any, mistake: Mistake) -> None:
    """The pointer's every step exists, but for the last one of what is missing or not there yet."""
    steps = mistake.pointer.split("/")[1:]
    for i, step in enumerate(steps):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(raw, list):
            assert int(key) < len(raw), mistake
            raw = raw[int(key)]
        elif isinstance(raw, dict) and key in raw:
            raw = raw[key]
        else:
            assert i == len(steps) - 1, mistake
            assert mistake.code in ("missing", "unknown_name", "empty_split"), mistake


@settings(max_examples=300)
@given(json)
def test_arbitrary_json_gets_mistakes_and_nothing_else(raw: Any) -> None:
    gate(raw)


def replaced(places: list[list[Any]]) -> Callable[[Any], st.SearchStrategy[Any]]:
    """Specifications that are right but for a few places."""

    def build(base: Any) -> st.SearchStrategy[Any]:
        change = st.tuples(st.sampled_from(places), json)
        return st.lists(change, min_size=1, max_size=3).map(lambda c: changed(base, c))

    return build


def changed(base: Any, changes: list[tuple[list[Any], Any]]) -> Any:
    """``base`` with other values at some places, where these still exist."""
    base = copy.deepcopy(base)
    for path, value in changes:
        at = base
        for step in path[:-1]:
            if not isinstance(at, dict | list) or (isinstance(at, dict) and step not in at):
                break
            if isinstance(at, list) and not (isinstance(step, int) and step < len(at)):
                break
            at = at[step]
        if isinstance(at, dict) or (
            isinstance(at, list) and isinstance(path[-1], int) and path[-1] < len(at)
        ):
            at[path[-1]] = value
    return base


PLACES: list[list[Any]] = [
    *([key] for key in FIELDS.split(", ")),
    *(["optimizer", key] for key in ("type", "lr", "momentum", "nesterov", "betas", "sgd", "x")),
    *(["model", i, key] for i in (0, 1, 2) for key in ("type", "init", "bias", "name", "padding")),
    *(["model", 0, key] for key in ("out_channels", "kernel_size", "stride", "dilation", "groups")),
    *(["dataset", key] for key in ("x", "y", "z")),
    ["dataset", "x", 0],
    ["dataset", "x", 1, 0],
    ["dataset", "y", 1],
    ["split", "test"],
]
ALMOST = inline(
    dataset={"x": [[[[1.0, 2.0, 3.0]] * 3]] * 2, "y": [0, 1]},
    model=[CONV, {"type": "batch_norm2d"}, {"type": "linear", "out_features": 2}],
    split={},
)


@settings(max_examples=500)
@given(replaced(PLACES)(ALMOST))
def test_almost_right_json_gets_a_plan_or_mistakes(raw: Any) -> None:
    gate(raw)


@pytest.mark.parametrize("depth", [9, 40, 70, 1000])
@pytest.mark.parametrize("section", ["dataset", "x", "y", "model", "loss", "lr", "metadata"])
def test_deep_nesting_is_refused(section: str, depth: int) -> None:
    deep: Any = 1.0
    for _ in range(depth):
        deep = [deep]
    raw: Any = inline()
    if section in "xy":
        raw["dataset"][section] = deep
    elif section == "lr":
        raw["optimizer"] = {"type": "sgd", "lr": deep}
    else:
        raw[section] = deep
    assert gate(raw) is None
