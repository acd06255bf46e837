"""A course of several segments: what a fork descends from, and what it changes."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.training.small_jobs import FLOAT32
from training.engine.blocks import Block, Checkpoint
from training.engine.loop import train
from training.engine.replay import replay
from training.engine.segments import enter
from training.engine.stopping import Counters
from training.spec.plan import Change, Plan, Segment
from training.tensors.data import load
from training.validation.check import check

SPEC: dict[str, Any] = {
    "dataset": "iris",
    "split": {"validation": 0.2, "test": 0.2},
    "model": [
        {"type": "linear", "out_features": 8},
        "relu",
        {"type": "dropout", "p": 0.2},
        {"type": "linear", "out_features": 3},
    ],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
    "schedule": {"type": "cosine"},
    "batch_size": 16,
    "iterations": 40,
    "evaluate_every": 7,
}


def plan(**changes: Any) -> Plan:
    return check(SPEC | changes)


def followed(*segments: Segment, resume: Checkpoint | None = None) -> list[Block]:
    return list(train(segments, load(segments[-1].plan, FLOAT32), FLOAT32, resume))


def losses(blocks: list[Block]) -> list[float]:
    return [float(loss) for block in blocks for loss in block.losses]


def evaluations(blocks: list[Block]) -> dict[int, dict[str, float]]:
    return {e.iteration: e.values for block in blocks for e in block.evaluations}


def final(blocks: list[Block]) -> torch.Tensor:
    outcome = blocks[-1].outcome
    assert outcome is not None
    return outcome.weights.parameters


@pytest.mark.parametrize("border", [0, 1, 14, 20, 40])
def test_two_segments_of_one_plan_are_one(border: int) -> None:
    whole, cut = followed(Segment(plan())), followed(Segment(plan(), border), Segment(plan()))
    assert losses(cut) == losses(whole)
    assert evaluations(cut) == evaluations(whole)
    assert torch.equal(final(cut), final(whole))


@pytest.mark.parametrize("border", [0, 14, 20])
def test_a_segment_begins_where_the_one_before_left_it(border: int) -> None:
    other = plan(seed=5, batch_size=8, iterations=30, evaluate_every=10)
    blocks = followed(Segment(plan(), border), Segment(other))
    whole = followed(Segment(plan()))
    found = losses(blocks)
    assert len(found) == 30
    assert found[:border] == losses(whole)[:border]
    assert found[border:] != losses(whole)[border:30]
    grids = [n for n in range(1, border) if n % 7 == 0]
    grids += [n for n in range(max(1, border), 31) if n % 10 == 0]
    assert sorted(evaluations(blocks)) == grids
    # The first weights are those of the first leg's seed, even if it rules no iteration.
    data = load(other, FLOAT32)
    first = replay([Segment(plan(), border), Segment(other)], data, FLOAT32, 0, None, 30)
    alone = replay([Segment(plan())], data, FLOAT32, 0, None, 40)
    assert torch.equal(first.parameters, alone.parameters)


def test_any_iteration_of_several_segments_can_be_had_again() -> None:
    segments = [
        Segment(plan(), 10),
        Segment(plan(seed=1), 20),
        Segment(plan(seed=2, iterations=30)),
    ]
    blocks = followed(*segments)
    data, found = load(segments[-1].plan, FLOAT32), losses(blocks)
    saved = [block.checkpoint for block in blocks if block.checkpoint.iteration <= 20]
    for n in (0, 9, 10, 15, 20, 29):
        starts = [None, *(c for c in saved if c.iteration <= n)]
        for start in starts:
            assert replay(segments, data, FLOAT32, n, start, 30).loss == pytest.approx(
                found[n], abs=0
            )


def test_a_course_can_be_resumed_in_any_segment() -> None:
    segments = [Segment(plan(), 10), Segment(plan(seed=1))]
    whole = followed(*segments)
    for block in whole[:-1]:
        again = followed(*segments, resume=block.checkpoint)
        assert losses(again) == losses(whole)[block.checkpoint.iteration :]
        assert torch.equal(final(again), final(whole))


# -- interventions


def test_a_rate_holds_from_its_iteration_on_and_the_schedule_is_not_rescaled() -> None:
    before = plan()
    after = before.changed((Change(10, lr=0.02), Change(20, iterations=60)))
    assert after.iterations == 60
    rates = [after.learning_rate(n) for n in range(60)]
    assert rates[:10] == [before.learning_rate(n) for n in range(10)]
    assert rates[10:40] == pytest.approx([before.learning_rate(n) / 5 for n in range(10, 40)])
    assert rates[40:] == [0.0] * 20  # where the cosine ended


@pytest.mark.parametrize(
    "schedule",
    [
        "cosine",
        "polynomial",
        "linear",
        {"type": "one_cycle", "max_lr": 0.1},
        {"type": "exponential", "gamma": 0.9},
        {"type": "cosine", "warmup_iterations": 10},
    ],
)
def test_past_the_planned_end_every_rate_goes_on_sensibly(schedule: Any) -> None:
    longer = plan(schedule=schedule).changed((Change(5, iterations=100),))
    rates = [longer.learning_rate(n) for n in range(100)]
    assert all(0 <= rate <= 0.1 + 1e-12 for rate in rates)
    assert rates[40:] == sorted(rates[40:], reverse=True)


def test_the_log_is_a_part_of_the_course() -> None:
    log = (Change(12, lr=0.01), Change(15, iterations=25))
    changed = plan().changed(log)
    found = losses(followed(Segment(changed)))
    assert len(found) == 25
    assert found[:13] == losses(followed(Segment(plan())))[:13]
    assert found[13:] != losses(followed(Segment(plan())))[13:25]


# -- the border


def test_a_stop_rule_that_was_changed_counts_anew() -> None:
    old = plan(early_stopping={"patience": 3}, convergence={"tolerance": 1e-9}).spec
    state = followed(Segment(plan()))[0].checkpoint
    counters = Counters(start=1.0, best=0.5, best_iteration=7, without_improvement=2, tail=(1.0,))
    at = replace(state, counters=counters)
    assert enter(at, old, old) == at
    patient = plan(early_stopping={"patience": 9}, convergence={"tolerance": 1e-9}).spec
    assert enter(at, old, patient).counters == Counters(start=1.0, tail=(1.0,))
    strict = plan(early_stopping={"patience": 3}, convergence={"tolerance": 1.0}).spec
    assert enter(at, old, strict).counters == replace(counters, tail=())
    smooth = {"type": "cross_entropy", "label_smoothing": 0.1}
    another = plan(early_stopping={"patience": 3}, loss=smooth).spec
    assert enter(at, old, another).counters == Counters()
