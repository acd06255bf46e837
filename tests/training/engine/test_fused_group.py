"""A job trained side by side with others has, to the bit, what it has alone: whatever its
neighbours, their number, its place among them, and when they come and go."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.specifications import Specification
from tests.training.small_jobs import (
    OPTIMIZERS,
    Ended,
    Job,
    gathered,
    ready,
    regression,
    side_by_side,
    table,
)
from training.engine.blocks import Block, Checkpoint
from training.engine.fused_group import GRAPHS
from training.engine.group import Group
from training.engine.job import TrainingJob
from training.engine.loop import group_of
from training.functional.fused_layers import LAYERS, LOSSES, MIN_FAST_SOFTMAX_VALUES
from training.validation.fusion_rules import FUSABLE, fusion_key, why_not_fusable

ACTIVATIONS = sorted(set(LAYERS) - {"linear", "flatten", "dropout"})
LAST = {"type": "linear", "out_features": 2}


def together(jobs: list[Job], seconds: float = 0.004, *, traced: bool = True) -> list[Ended]:
    """The jobs side by side to their ends, with a trace wherever that is asked for; without, as if
    none had ever been made."""
    if not traced:
        GRAPHS.clear()
    return side_by_side(jobs, seconds, Group.trace if traced else None)


def alone(job: Job) -> Ended:
    """The job by itself, without a trace."""
    return together([job], 60.0, traced=False)[0]


def data(loss: str, features: int, classes: int, draw: random.Random) -> Specification:
    """Made-up examples with a target that the loss takes."""
    rows = draw.choice([37, 40, 53]) + 10 * classes
    x = table(rows, features, draw.randrange(1000))
    if loss in {"cross_entropy", "nll_loss"}:
        return {"x": x, "y": [i % classes for i in range(rows)]}
    if loss == "bce_with_logits":
        return {"x": x, "y": [i % 2 for i in range(rows)]}
    return {"x": x, "y": table(rows, 2, draw.randrange(1000))}


def network(loss: str, classes: int, draw: random.Random) -> list[Any]:
    """A fusable network of odd sizes."""
    layers: list[Any] = []
    for _ in range(draw.randint(1, 3)):
        layers.append(
            {
                "type": "linear",
                "out_features": draw.choice([1, 2, 3, 5, 8, 13, 16, 31, 33, 64]),
                "bias": draw.random() < 0.8,
            }
        )
        layers.append(draw.choice(ACTIVATIONS))
        if draw.random() < 0.3:
            layers.append({"type": "dropout", "p": draw.choice([0.0, 0.2, 0.5])})
        if draw.random() < 0.3:
            inside = [{"type": "linear", "out_features": 7}, draw.choice(ACTIVATIONS)]
            layers.append({"type": "residual", "layers": inside})
    width = {"cross_entropy": classes, "nll_loss": classes, "bce_with_logits": 1}.get(loss, 2)
    last = ["log_softmax"] if loss == "nll_loss" else []
    return [*layers, {"type": "linear", "out_features": width}, *last]


def signature(seed: int) -> Specification:
    """All in which the members of a group are equal."""
    draw = random.Random(seed)
    loss, classes = (
        draw.choice(sorted(LOSSES)),
        draw.choice([2, 3, 10, MIN_FAST_SOFTMAX_VALUES + 1]),
    )
    word: Specification = {"type": loss}
    if loss == "cross_entropy":
        word |= {"label_smoothing": draw.choice([0.0, 0.1])}
    if loss in {"cross_entropy", "nll_loss"}:
        word |= draw.choice(
            [
                {},
                {"weight": "balanced"},
                {"weight": [0.5, 1.0] * (classes // 2) + [2.0] * (classes % 2)},
            ]
        )
    if loss == "bce_with_logits":
        word |= draw.choice([{}, {"pos_weight": 2.5}])
    return regression(
        dataset=data(loss, draw.choice([1, 2, 3, 7, 16, 20]), classes, draw),
        model=network(loss, classes, draw),
        loss=word,
        optimizer=OPTIMIZERS[draw.choice(sorted(OPTIMIZERS))],
        batch_size=draw.choice([1, 3, 7, 16, 32, 33, "full"]),
        clip_grad_norm=draw.choice([None, None, 0.5]),
    )


def member(common: Specification, draw: random.Random) -> Specification:
    """All in which they may differ; some of them are lost on the way."""
    rate = draw.choice([1e-4, 1e-3, 1e-2, 0.05, 1e18])
    return {
        **common,
        "optimizer": {**common["optimizer"], "lr": rate},
        "schedule": draw.choice(["constant", {"type": "cosine", "warmup_iterations": 3}]),
        "seed": draw.randrange(100),
        "iterations": draw.randint(1, 60),
        "evaluate_every": draw.choice([4, 9, 100]),
        "early_stopping": draw.choice(
            [None, {"patience": 2, "metric": "validation_loss", "min_delta": 0.01}]
        ),
        "convergence": draw.choice([None, {"tolerance": 0.05, "window": 5}]),
    }


def assert_same(found: Ended, wanted: Ended) -> None:
    """By repr where a NaN may be."""
    *one, buffers = found.bits()
    *other, theirs = wanted.bits()
    assert repr(one) == repr(other)
    assert buffers == theirs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 17))
def test_a_job_has_the_same_bits_alone_and_in_any_company(seed: int, size: int) -> None:
    draw, common = random.Random(seed), signature(seed)
    jobs = [ready(member(common, draw)) for _ in range(size)]
    assert not any(why_not_fusable(job.plan, "cpu") for job in jobs)
    assert len({fusion_key(job.plan) for job in jobs}) == 1
    ends = together(jobs, draw.choice([0.0, 0.002, 0.02]), traced=draw.random() < 0.7)
    for k in draw.sample(range(size), min(size, 3)):
        assert_same(ends[k], alone(jobs[k]))


@pytest.mark.parametrize(
    "optimizer",
    [
        *OPTIMIZERS.values(),
        {"type": "adam", "lr": 0.01},
        {"type": "adam", "lr": 0.01, "weight_decay": 0.01},
        {"type": "sgd", "lr": 0.05},
    ],
    ids=lambda word: " ".join(map(str, word.values())),
)
def test_a_program_computes_what_the_step_does(optimizer: Specification) -> None:
    jobs = [ready(regression(optimizer=optimizer, seed=k, iterations=20)) for k in range(3)]
    for found, wanted in zip(together(jobs), together(jobs, traced=False), strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 32])
@pytest.mark.parametrize("layer", ACTIVATIONS)
def test_every_layer_keeps_a_row_apart_from_its_neighbours(layer: str, size: int) -> None:
    common = regression(
        model=[
            {"type": "linear", "out_features": 13},
            layer,
            LAST,
        ],
        iterations=20,
        batch_size=5,
    )
    jobs = [ready({**common, "seed": k}) for k in range(size)]
    jobs[size // 2] = ready({**common, "optimizer": {"type": "sgd", "lr": 1e30}})  # soon NaN
    ends = together(jobs)
    for k in {0, size // 2, size - 1}:
        assert_same(ends[k], alone(jobs[k]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_size", [1, 7, 32, "full"])
def test_every_loss_keeps_a_row_apart_from_its_neighbours(loss: str, batch_size: Any) -> None:
    draw = random.Random(loss)
    common = regression(
        dataset=data(loss, 3, 3, draw),
        model=network(loss, 3, draw),
        loss=loss,
        batch_size=batch_size,
    )
    jobs = [ready({**common, "seed": k, "iterations": 20 + k}) for k in range(7)]
    ends = together(jobs)
    for k in (0, 3, 6):
        assert_same(ends[k], alone(jobs[k]))


def test_one_may_join_where_others_are_on_their_way() -> None:
    common = regression(iterations=90, evaluate_every=7)
    old, new = (ready({**common, "seed": seed}) for seed in (1, 2))
    first, second = old.training(), new.training()
    start: list[Checkpoint] = [first.beginning()]
    (block,) = group_of([first]).advance(start, [37], None)
    both = group_of([first, second])
    at = [block.checkpoint, second.beginning()]
    found: list[list[Block]] = [[block], []]
    members: list[TrainingJob] = [first, second]
    while len(members) == 2:
        made = both.blocks(at, 0.003)
        for blocks, one in zip(found, made, strict=True):
            blocks.append(one)
        at = [one.checkpoint for one in made]
        members = [m for m, one in zip(members, made, strict=True) if one.outcome is None]
    assert members == [second]
    found[1] += group_of([second]).blocks([at[1]], 60)
    assert_same(gathered(found[0]), alone(old))
    assert_same(gathered(found[1]), alone(new))


@pytest.mark.parametrize(
    "change",
    [
        {"deterministic": True},
        {"fuse": "never"},
        {"precision": "bf16"},
        {"batch_size": 7, "model": ["batch_norm1d", {"type": "linear", "out_features": 2}]},
        {
            "model": [
                {"type": "linear", "out_features": 70_000},
                {"type": "linear", "out_features": 2},
            ]
        },
    ],
)
def test_what_is_not_fused(change: Specification) -> None:
    assert why_not_fusable(ready(regression()).plan, "cpu") is None
    assert why_not_fusable(ready(regression()).plan, "cuda") is not None
    assert why_not_fusable(ready(regression(**change)).plan, "cpu") is not None


def test_what_is_fused_is_there() -> None:
    assert set(LAYERS) == FUSABLE["cpu"] >= FUSABLE["cuda"]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed": 5, "iterations": 7, "schedule": "cosine"}, True),
        ({"optimizer": {"type": "sgd", "lr": 0.5}}, True),
        ({"optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.5}}, False),
        ({"optimizer": "adam"}, False),
        ({"batch_size": 8}, False),
        ({"split": {"validation": 0.2, "test": 0.1, "seed": 1}}, False),
        ({"clip_grad_norm": 1.0}, False),
        ({"loss": "l1_loss"}, False),
        ({"prepare": "standardize"}, False),
    ],
)
def test_who_keeps_company_with_whom(change: Specification, same: bool) -> None:
    one, other = ready(regression()).plan, ready(regression(**change)).plan
    assert (fusion_key(one) == fusion_key(other)) is same
