"""The estimate of a job's memory against the resident memory of a process that trains it."""

import sys
from typing import Any

import pytest

from tests.specifications import DIGITS_MLP
from tests.training.gate import digits, inline, mistakes
from tests.training.heavy import HEAVY
from tests.training.peak import measured
from training.catalog.optimizers import OPTIMIZERS
from training.engine import evaluate
from training.functional.optimizers import RULES
from training.step import batches
from training.tensors import data
from training.validation import memory_estimate
from training.validation.check import UNLIMITED, Limits, check

# In one process, for the measurement that they share takes half a minute.
pytestmark = pytest.mark.xdist_group("memory")


@pytest.fixture(scope="module")
def peaks() -> dict[str, int]:
    """Bytes by the name of the job."""
    return dict(zip(HEAVY, measured(list(HEAVY.values())), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process had at most")
@pytest.mark.parametrize("name", HEAVY)
def test_the_estimate_is_near_the_measured_peak(name: str, peaks: dict[str, int]) -> None:
    estimated = memory_estimate.estimate(check(HEAVY[name], UNLIMITED))
    assert peaks[name] > 60e6, "too small to say anything"
    assert 0.8 < estimated.total / peaks[name] < 1.25, (estimated, peaks[name])


def test_the_numbers_of_the_engine_are_those_of_the_engine() -> None:
    assert memory_estimate.EVALUATION_ROWS == evaluate.EVALUATION_ROWS
    assert memory_estimate.PREPARED_VALUES == data.PREPARED_VALUES
    assert (memory_estimate.WINDOW_ITERATIONS, memory_estimate.WINDOW_ROWS) == (
        batches.WINDOW_ITERATIONS,
        batches.WINDOW_ROWS,
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.9}, {"amsgrad": True}, {"centered": True, "momentum": 0.5}]
)
def test_an_optimizer_says_how_much_it_keeps(name: str, options: dict[str, Any]) -> None:
    fields = OPTIMIZERS[name].model_fields
    word = OPTIMIZERS[name].model_validate({n: v for n, v in options.items() if n in fields})
    assert word.slots == len(RULES[name].slots(word))


# The limit.


def test_a_job_beyond_the_limit_is_told_what_it_needs_and_for_what() -> None:
    raw = digits(batch_size=1_000_000)
    total = memory_estimate.estimate(check(raw)).total
    assert check(raw, Limits(memory=total)).batch_size == 1_000_000
    assert mistakes(raw, Limits(memory=total - 1)) == [
        (
            "/batch_size",
            "limit_exceeded",
            f"needs about {total / 1e9:.2f} GB of memory, most of it for its activations, "
            f"more than the {total / 1e9:.2f} GB allowed (max_job_memory_bytes)",
        )
    ]


def test_a_model_beyond_the_limit_is_pointed_at() -> None:
    wide = [{"type": "linear", "out_features": 100_000}, {"type": "linear", "out_features": 10}]
    found = mistakes(digits(model=wide, batch_size=1), Limits(memory=10**8))
    assert [(m.pointer, m.code) for m in found] == [("/model", "limit_exceeded")]


def test_data_beyond_the_limit_are_pointed_at() -> None:
    raw = inline(dataset={"x": [[1.0] * 1000] * 2000, "y": [0, 1] * 1000})
    (found,) = mistakes(raw, Limits(memory=20_000_000, inline_values=3_000_000))
    assert (found.pointer, found.code) == ("/dataset", "limit_exceeded")


def test_a_small_job_needs_little() -> None:
    assert memory_estimate.estimate(check(DIGITS_MLP)).total < 20e6
