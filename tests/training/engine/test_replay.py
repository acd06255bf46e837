"""Any iteration again: parameters, gradient and update are those that training had, to the bit."""

from typing import Any

import pytest

from tests.specifications import ONE_WEIGHT, Specification
from tests.training.small_jobs import (
    FLOAT32,
    OPTIMIZERS,
    Job,
    bits,
    cnn,
    ready,
    regression,
    stepped,
)
from training.engine import checkpoint, group, replay
from training.engine.blocks import Checkpoint
from training.engine.replay import IterationState
from training.spec.plan import Segment

NETWORKS: dict[str, Specification] = {"cnn": cnn(iterations=30), "mlp": regression(iterations=30)}


def course(job: Job) -> list[tuple[bytes, float, bytes, bytes]]:
    """Parameters, loss, gradient and update of every iteration, as training has them."""
    training = job.training()
    state, found = training.beginning().state, []
    for n in range(job.plan.iterations):
        after, outputs = training.run(state, training.feed(n))
        update = after.parameters - state.parameters
        found.append(
            (bits(state.parameters), outputs.loss.item(), bits(outputs.gradient), bits(update))
        )
        state = after
    return found


def seen(moment: IterationState) -> tuple[bytes, Any, bytes, bytes]:
    """A moment in the same form."""
    assert moment.gradient is not None
    assert moment.update is not None
    return bits(moment.parameters), moment.loss, bits(moment.gradient), bits(moment.update)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_any_iteration_comes_back_to_the_bit(network: str, optimizer: str) -> None:
    job = ready({**NETWORKS[network], "optimizer": OPTIMIZERS[optimizer]})
    wanted, kept = course(job), stepped(job).checkpoints
    assert [loss for _, loss, _, _ in wanted] == stepped(job, 60).losses.tolist()
    for n in (0, 1, 13, 29):
        assert seen(replay.replay([Segment(job.plan)], job.data, FLOAT32, n, None, 30)) == wanted[n]
    for n, nearest in ((1, 0), (13, 4), (20, 19), (29, 10)):
        start = checkpoint.decode(checkpoint.encode(kept[nearest]), FLOAT32)
        assert start.iteration == nearest + 1 <= n
        moment = replay.replay([Segment(job.plan)], job.data, FLOAT32, n, start, 30)
        assert seen(moment) == wanted[n]
        assert moment.iteration == n
        assert moment.lr == job.plan.learning_rate(n)


def after_the_last(job: Job, nearest: Checkpoint | None) -> IterationState:
    last = job.plan.iterations
    return replay.replay([Segment(job.plan)], job.data, FLOAT32, last, nearest, last)


@pytest.mark.parametrize("specification", NETWORKS.values(), ids=NETWORKS)
def test_after_the_last_update_there_are_weights_but_no_further_one(
    specification: Specification,
) -> None:
    job = ready(specification)
    ended = stepped(job)
    for nearest in (None, ended.checkpoints[7], ended.checkpoints[-1]):
        moment = after_the_last(job, nearest)
        assert bits(moment.parameters) == bits(ended.outcome.weights.parameters)
        assert (moment.loss, moment.lr, moment.gradient, moment.update) == (None,) * 4


@pytest.mark.parametrize("specification", NETWORKS.values(), ids=NETWORKS)
def test_a_long_replay_swaps_to_a_trace_and_keeps_its_bits(
    specification: Specification, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ready({**specification, "iterations": 300})
    wanted = stepped(job, 60)
    monkeypatch.setattr(group, "MIN_TRACED_WORK_SECONDS", 0.0)
    monkeypatch.setattr(replay, "LONGEST_BLOCK_SECONDS", 0.01)
    assert bits(after_the_last(job, None).parameters) == bits(wanted.outcome.weights.parameters)


def test_one_weight_comes_back_as_the_closed_form_says() -> None:
    job = ready(ONE_WEIGHT)
    for n in (0, 1, 17, 49):
        moment = replay.replay([Segment(job.plan)], job.data, FLOAT32, n, None, 50)
        assert moment.gradient is not None
        assert moment.update is not None
        assert moment.parameters.item() == pytest.approx(4 - 2 * 0.8**n, abs=1e-6)
        assert moment.gradient.item() == pytest.approx(-4 * 0.8**n, abs=1e-6)
        assert moment.update.item() == pytest.approx(0.4 * 0.8**n, abs=1e-6)
    assert after_the_last(job, None).parameters.item() == pytest.approx(4 - 2 * 0.8**50, abs=1e-6)
