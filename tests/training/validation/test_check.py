"""The gate: every mistake at once, each with a pointer into the user's own JSON and a sentence."""

import math
from typing import Any

import pytest

from tests import specifications
from tests.specifications import DIGITS_MLP
from tests.training.gate import CONV, FIELDS, LINEAR, digits, gate, inline, mistakes, model
from training import catalog
from training.spec.mistakes import Mistake, Mistakes
from training.validation.check import Limits, check

OPTIMIZER = {"type": "sgd", "lr": 0.1}

# One mistake at a time: what the user reads.

ONE_OF = "exactly one of `iterations` and `epochs` must be given"
SINGLE: dict[str, tuple[Any, str, str, str]] = {
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
    "field like no other": (
        digits(xyzzy=1),
        "/xyzzy",
        "unknown_field",
        f"`xyzzy`: known are {FIELDS}",
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
        f"`5`: known are {', '.join(sorted(catalog.LOSSES))}",
    ),
    "batch by a wrong name": (
        digits(batch_size="ful"),
        "/batch_size",
        "wrong_type",
        "must be a whole number or 'full'",
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
def test_a_mistake_of_any_other_section_is_told_in_a_sentence_where_it_is(name: str) -> None:
    raw, *wanted = SINGLE[name]
    assert mistakes(raw) == [tuple(wanted)]


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
            "/dataset/x/0/1",
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
    assert [metric.type for metric in plan.metrics] == ["accuracy"]


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
