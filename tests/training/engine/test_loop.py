"""The loop: its series and weights are a function of the specification, however it is cut."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.specifications import DIGITS_MLP, ONE_WEIGHT, Specification
from tests.training.small_jobs import (
    FLOAT32,
    FLOAT64,
    OPTIMIZERS,
    Ended,
    bits,
    cnn,
    ready,
    regression,
    stepped,
    table,
    trained,
)
from training.engine import checkpoint
from training.engine.blocks import Weights
from training.engine.loop import group_of, train
from training.spec.plan import Segment

NOISE: Specification = {"x": table(40, 3), "y": table(40, 2, seed=9)}
"""Nothing can be learned here, so that validation soon gets worse."""

ENDINGS: dict[str, Specification] = {
    "completed": cnn(iterations=33, evaluate_every=5),
    "early stopping": cnn(
        dataset={**cnn()["dataset"], "y": [(i * i + i // 5) % 3 for i in range(48)]},
        iterations=400,
        evaluate_every=3,
        early_stopping={"patience": 3, "metric": "validation_loss"},
    ),
    "convergence": regression(
        dataset=NOISE,
        iterations=60,
        batch_size="full",
        evaluate_every=20,
        optimizer={"type": "sgd", "lr": 0.02},
        convergence={"tolerance": 2e-2, "window": 6},
    ),
    "diverged": regression(iterations=30, optimizer={"type": "sgd", "lr": 3.0}),
}
REASONS = {
    "completed": "completed",
    "early stopping": "early_stopping",
    "convergence": "converged",
    "diverged": "diverged",
}


def test_every_iteration_has_one_loss() -> None:
    ended = trained(ready(regression(iterations=333)))
    assert len(ended.losses) == 333
    assert ended.losses.dtype == np.float32
    assert ended.outcome.iteration == 333
    assert ended.checkpoints[-1].iteration == 333


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_job_twice_gives_equal_bits(ending: str) -> None:
    job = ready(ENDINGS[ending])
    first = trained(job)
    assert first.outcome.reason == REASONS[ending]
    assert trained(ready(ENDINGS[ending])).bits() == first.bits()


def test_another_seed_is_another_course() -> None:
    assert trained(ready(cnn(seed=1))).bits() != trained(ready(cnn())).bits()


@pytest.mark.parametrize("ending", ENDINGS)
def test_where_blocks_end_changes_no_bit(ending: str) -> None:
    job = ready(ENDINGS[ending])
    whole, single = stepped(job, seconds=60), stepped(job, seconds=0)
    assert len(whole.checkpoints) == 1
    assert len(single.checkpoints) >= len(single.losses)
    assert single.bits() == whole.bits()
    assert stepped(job, seconds=0.004).bits() == whole.bits()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_job_goes_on_from_any_checkpoint_to_the_same_end(optimizer: str, ending: str) -> None:
    specification = ENDINGS[ending]
    if ending != "diverged":
        specification = {**specification, "optimizer": OPTIMIZERS[optimizer]}
    job = ready(specification)
    whole = stepped(job)
    assert whole.outcome.reason == REASONS[ending]
    # A process that ended is another process: the state goes through the bytes of a file.
    for kept in whole.checkpoints[:: max(1, len(whole.checkpoints) // 8)] + whole.checkpoints[-2:]:
        read = checkpoint.decode(checkpoint.encode(kept), FLOAT32)
        assert_same_end(stepped(job, 60, start=read), whole, kept.iteration)


def assert_same_end(again: Ended, whole: Ended, start: int) -> None:
    """Equal from ``start`` on: what was still to come, and the end."""
    assert again.losses.tobytes() == whole.losses[start:].tobytes()
    later = [evaluation for evaluation in whole.evaluations if evaluation.iteration >= start]
    assert again.evaluations == later
    assert again.bits()[2:] == whole.bits()[2:]


def test_train_resumes_from_a_checkpoint() -> None:
    job = ready(cnn(iterations=60))
    whole = stepped(job)
    kept = checkpoint.decode(checkpoint.encode(whole.checkpoints[24]), FLOAT32)
    assert kept.iteration == 25
    assert_same_end(trained(job, resume=kept), whole, 25)


def test_a_job_that_swaps_to_the_traced_runner_gives_the_bits_of_one_that_does_not() -> None:
    job = ready(cnn(iterations=400))
    blocks = list(train([Segment(job.plan)], job.data, job.numerics))
    assert {block.runner for block in blocks} == {"eager", "traced"}
    end = blocks[-1].outcome
    assert end is not None
    eager = stepped(job, seconds=60)
    assert np.concatenate([b.losses for b in blocks]).tobytes() == eager.losses.tobytes()
    assert bits(end.weights.parameters) == bits(eager.outcome.weights.parameters)


@pytest.mark.parametrize("network", [cnn, regression])
def test_a_checkpoint_is_a_value(network: Callable[..., Specification]) -> None:
    specification = network(optimizer=OPTIMIZERS["adam"])
    training = ready(specification).training()
    group = group_of([training])
    group.trace([training.beginning()])
    (block,) = group.blocks([training.beginning()], 0)
    before = checkpoint.encode(block.checkpoint)
    for _ in range(5):
        group.blocks([block.checkpoint], 0.01)
    assert checkpoint.encode(block.checkpoint) == before


# How long.


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "iterations"),
    [(40, 8, 3, 15), (40, 7, 3, 18), (5, 64, 13, 2), (5, 3, 1, 2), (6, "full", 4, 4)],
)
def test_epochs_are_rounded_up_to_whole_iterations(
    rows: int, batch_size: Any, epochs: int, iterations: int
) -> None:
    specification = regression(
        dataset={"x": table(rows, 3), "y": table(rows, 2)},
        split={},
        batch_size=batch_size,
        epochs=epochs,
    )
    del specification["iterations"]
    job = ready(specification)
    assert job.plan.iterations == iterations
    assert job.plan.epoch(iterations) >= epochs
    assert len(trained(job).losses) == iterations


def test_a_batch_larger_than_the_data_repeats_them() -> None:
    job = ready(regression(batch_size=100))
    inputs = job.training().feed(0)
    assert inputs.x.shape == (100, 3)
    assert len(torch.unique(inputs.x, dim=0)) == job.plan.rows["train"] == 28
    assert len(trained(job).losses) == 40


def test_a_full_batch_is_plain_gradient_descent() -> None:
    job = ready(regression(batch_size="full", iterations=20), FLOAT64)
    training = job.training()
    state = training.beginning().state
    train_part = job.data.parts["train"]
    for n in range(20):
        inputs = training.feed(n)
        assert (inputs.x == train_part.x).all()
        after, outputs = training.run(state, inputs)
        wanted = state.parameters - 0.05 * outputs.gradient
        torch.testing.assert_close(after.parameters, wanted, rtol=1e-13, atol=0)
        state = after


def test_one_weight_rolls_down_as_the_closed_form_says() -> None:
    training = ready(ONE_WEIGHT).training()
    state = training.beginning().state
    for n in range(50):
        weight = state.parameters.item()
        state, outputs = training.run(state, training.feed(n))
        assert weight == pytest.approx(4 - 2 * 0.8**n, abs=1e-6)
        assert outputs.loss.item() == pytest.approx(4 * 0.64**n, abs=1e-6)
        assert outputs.gradient.item() == pytest.approx(-4 * 0.8**n, abs=1e-6)


@pytest.mark.parametrize(
    ("lr", "reason"), [(0.5, "completed"), (1.0, "completed"), (1.2, "diverged")]
)
def test_one_weight_lands_bounces_or_flies_away(lr: float, reason: str) -> None:
    ended = trained(ready({**ONE_WEIGHT, "optimizer": {"type": "sgd", "lr": lr}}))
    assert ended.outcome.reason == reason
    if lr == 0.5:
        assert (ended.losses[1:] == 0).all()
    elif lr == 1.0:
        assert (ended.losses == 4).all()


# Evaluation.


@pytest.mark.parametrize(
    ("every", "iterations", "wanted"),
    [(10, 35, [10, 20, 30, 35]), (10, 40, [10, 20, 30, 40]), (50, 35, [35]), (1, 3, [1, 2, 3])],
)
def test_validation_runs_every_so_often_and_after_the_last_update(
    every: int, iterations: int, wanted: list[int]
) -> None:
    ended = trained(ready(cnn(evaluate_every=every, iterations=iterations)))
    assert [evaluation.iteration for evaluation in ended.evaluations] == wanted


def test_validation_runs_once_an_epoch_by_default() -> None:
    job = ready(cnn())  # 36 rows in batches of 8: five iterations an epoch
    assert [e.iteration for e in trained(job).evaluations] == list(range(5, 41, 5))


def test_without_validation_data_nothing_is_evaluated_on_the_way() -> None:
    ended = trained(ready(regression(split={"test": 0.2}, evaluate_every=3)))
    assert ended.evaluations == []
    assert set(ended.outcome.result) == {"train", "test"}


def test_evaluation_changes_nothing() -> None:
    often, never = trained(ready(cnn(evaluate_every=1))), trained(ready(cnn(evaluate_every=99)))
    assert len(often.evaluations) > len(never.evaluations)
    assert often.losses.tobytes() == never.losses.tobytes()
    assert often.bits()[5:] == never.bits()[5:]


def test_a_value_belongs_to_the_weights_before_its_update() -> None:
    job = ready(cnn(evaluate_every=7, iterations=30))
    ended = stepped(job)
    for n, values in ended.evaluations:
        state = ended.checkpoints[n - 1].state
        weights = Weights(state.parameters, state.buffers)
        assert job.training().measure("validation", weights) == values


def test_the_result_is_measured_on_every_split_with_the_weights_that_are_kept() -> None:
    job = ready(regression())
    ended = trained(job)
    assert set(ended.outcome.result) == {"train", "validation", "test"}
    for part, values in ended.outcome.result.items():
        assert set(values) == {"loss", "mse", "mae", "r2"}
        assert job.training().measure(part, ended.outcome.weights) == values
    assert ended.evaluations[-1].values == ended.outcome.result["validation"]


def test_only_the_metrics_that_are_asked_for_are_measured() -> None:
    ended = trained(ready(regression(metrics=["r2"], iterations=5)))
    assert set(ended.outcome.result["train"]) == {"loss", "r2"}


# Divergence.


def test_a_loss_that_is_no_number_ends_the_job_and_is_kept() -> None:
    specification = regression(optimizer={"type": "sgd", "lr": 1e30}, iterations=100)
    ended = trained(ready(specification))
    assert ended.outcome.reason == "diverged"
    assert ended.outcome.result == {}
    assert ended.outcome.iteration == len(ended.losses) - 1
    assert np.isfinite(ended.losses[:-1]).all()
    assert not ended.losses[-1] < math.inf


def test_a_classifier_with_a_huge_rate_diverges() -> None:
    specification = {**DIGITS_MLP, "iterations": 30, "optimizer": {"type": "sgd", "lr": 1e6}}
    ended = trained(ready(specification))
    assert ended.outcome.reason == "diverged"
    assert len(ended.losses) == ended.outcome.iteration + 1 < 30


def test_a_loss_beyond_return_has_diverged_though_it_is_finite() -> None:
    ended = trained(ready({**ONE_WEIGHT, "optimizer": {"type": "sgd", "lr": 1.2}}))
    # lr 1.2 multiplies the loss by 1.96 an iteration: 4·1.96ⁿ > 4·10⁸ first at n = 28.
    assert ended.outcome.reason == "diverged"
    assert ended.outcome.iteration == 28
    assert len(ended.losses) == 29


def test_weights_lost_in_the_last_update_are_a_divergence_too() -> None:
    specification = {**ONE_WEIGHT, "optimizer": {"type": "sgd", "lr": 3e38}, "iterations": 1}
    ended = trained(ready(specification))
    assert ended.losses.tolist() == [4.0]
    assert ended.outcome.reason == "diverged"
    assert ended.outcome.iteration == 0


def test_the_checkpoint_of_a_diverged_job_is_not_past_its_losses() -> None:
    job = ready(ENDINGS["diverged"])
    for ended in (stepped(job, 60), stepped(job)):
        assert ended.checkpoints[-1].iteration <= ended.outcome.iteration


def test_convergence_and_divergence_do_not_quarrel() -> None:
    rule = {"tolerance": 1e-9, "window": 3}
    ended = trained(ready({**ENDINGS["diverged"], "convergence": rule}))
    assert ended.outcome.reason == "diverged"
