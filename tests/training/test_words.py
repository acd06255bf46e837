"""Every word that changes numbers: interrupted or traced, its bits are those of the plain run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.small_jobs import (
    FLOAT32,
    FLOAT64,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    WORDS,
    Job,
    binary,
    bits,
    cnn,
    course,
    ready,
    regression,
    stepped,
    trained,
)
from training import catalog
from training.engine import checkpoint
from training.engine.loop import group_of, train
from training.engine.replay import replay
from training.spec.job_spec import JobSpec
from training.spec.plan import Segment
from training.step.step import State

ITERATIONS = 24


def job(name: str) -> Job:
    return ready({**WORDS[name], "iterations": ITERATIONS})


@pytest.mark.parametrize("name", WORDS)
def test_a_resumed_run_has_the_bits_of_one_that_was_not(name: str) -> None:
    one = job(name)
    whole = stepped(one)
    assert whole.outcome.reason == "completed"
    for kept in (whole.checkpoints[0], whole.checkpoints[9], whole.checkpoints[-2]):
        # A process that ended is another process: the state goes through the bytes of a file.
        read = checkpoint.decode(checkpoint.encode(kept), one.numerics)
        again = trained(job(name), resume=read)
        assert again.losses.tobytes() == whole.losses[kept.iteration :].tobytes()
        assert again.bits()[2:] == whole.bits()[2:]


@pytest.mark.parametrize("name", WORDS)
def test_a_traced_run_has_the_bits_of_an_eager_one(name: str) -> None:
    training = job(name).training()
    group = group_of([training])
    eager = course(group, ITERATIONS)
    group.trace([replace(training.beginning(), iteration=5)])
    assert group.runner == "traced"
    assert course(group, ITERATIONS) == eager


@pytest.mark.parametrize("name", WORDS)
def test_a_replayed_iteration_has_the_bits_it_had(name: str) -> None:
    one = job(name)
    kept = stepped(one).checkpoints
    moment = replay([Segment(one.plan)], one.data, FLOAT32, 17, kept[11], ITERATIONS)
    assert bits(moment.parameters) == bits(kept[16].state.parameters)


def test_no_word_is_forgotten() -> None:
    assert set(OPTIMIZERS) == set(catalog.OPTIMIZERS)
    assert set(SCHEDULES) == set(catalog.SCHEDULES)
    assert set(LOSSES) == set(catalog.LOSSES)
    assert {JobSpec.model_validate(spec).precision for spec in WORDS.values()} == {"fp32", "bf16"}
    for name, spec in LOSSES.items():
        assert JobSpec.model_validate(spec).loss.type == name


# Clipping.


@pytest.mark.parametrize("most", [0.3, 1e9])
def test_a_long_gradient_is_shortened_as_by_torch(most: float) -> None:
    plain, clip = ready(regression(), FLOAT64), ready(regression(clip_grad_norm=most), FLOAT64)
    state: State = plain.training().beginning().state
    for n in range(10):
        after, outputs = clip.training().run(state, clip.training().feed(n))
        same, wanted = plain.training().run(state, plain.training().feed(n))
        assert bits(outputs.gradient) == bits(wanted.gradient)
        parameter = torch.nn.Parameter(state.parameters)
        parameter.grad = wanted.gradient.clone()
        torch.nn.utils.clip_grad_norm_([parameter], most)
        torch.testing.assert_close(
            after.parameters, state.parameters - 0.05 * parameter.grad, rtol=1e-12, atol=1e-15
        )
        assert (most > 1) == torch.equal(after.parameters, same.parameters)
        state = after


# Precision.


def test_layers_compute_in_bfloat16_and_everything_else_in_float32() -> None:
    wide, narrow = ready(cnn()), ready(cnn(precision="bf16"))
    assert narrow.numerics.precision == "bf16"
    start = wide.training().beginning().state
    state, outputs = narrow.training().run(start, narrow.training().feed(0))
    kept = (state.parameters, *state.slots.values(), *outputs)
    assert {tensor.dtype for tensor in kept} == {torch.float32}
    _, exact = wide.training().run(start, wide.training().feed(0))
    assert bits(outputs.loss) != bits(exact.loss)
    torch.testing.assert_close(outputs.loss, exact.loss, rtol=2e-2, atol=0)
    cosine = torch.cosine_similarity(outputs.gradient, exact.gradient, dim=0)
    assert 0.98 < cosine < 1


def test_a_model_that_was_trained_in_bfloat16_is_measured_as_it_predicts() -> None:
    one = ready(cnn(precision="bf16"))
    ended = stepped(one, 60)
    exact = Job(one.plan, one.data, FLOAT32).training()
    for part, values in ended.outcome.result.items():
        assert exact.measure(part, ended.outcome.weights) == values


def test_each_leg_of_a_course_weighs_and_rounds_as_its_own_plan_says() -> None:
    first = ready(binary(precision="bf16", loss={"type": "bce_with_logits", "pos_weight": 9.0}))
    second = ready(binary(fuse="never"))  # a fork keeps the class of its parent
    whole = stepped(first)
    segments = [Segment(first.plan, 12), Segment(second.plan)]
    blocks = list(train(segments, second.data, FLOAT32))
    assert blocks[0].losses.tobytes() == whole.losses[:1].tobytes()
    losses = np.concatenate([block.losses for block in blocks])
    assert losses[:12].tobytes() == whole.losses[:12].tobytes()
    assert losses[12] != whole.losses[12]
