"""How a job's numbers are computed: decided with the claim, or refused in a sentence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest

from app.tables import Job
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.tensors.numerics import Numerics, has_bf16
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess


def specified(make_job: MakeJob, **sections: object) -> str:
    """A queued job of one weight with some sections changed."""
    return make_job(spec=check({**ONE_WEIGHT, **sections}).spec.model_dump(mode="json"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_a_job_says_how_it_was_computed(
    precision: str, child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    job_id = specified(make_job, precision=precision)
    assert train_next(child)
    job = job_row(job_id)
    assert job.state == "succeeded"
    assert job.execution is not None
    chosen: Literal["fp32", "bf16"] = "bf16" if precision == "bf16" else "fp32"
    assert job.execution["class"] == "sequential"
    assert job.execution["precision"] == chosen
    assert job.execution["fingerprint"] == Numerics.on("cpu", chosen).fingerprint()


def test_a_precision_that_the_device_does_not_have_fails_the_job_in_a_sentence(
    child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    job_id = specified(make_job, precision="bf16")
    assert train_next(replace(child, device="cuda"))
    job = job_row(job_id)
    if has_bf16("cuda"):
        assert job.state == "succeeded"
        return
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["category"], job.error["code"]) == ("resource", "precision_unavailable")
    assert job.error["message"] == "this cuda device has no bfloat16; use precision fp32 or auto"


def test_a_specification_that_is_refused_by_now_fails_the_job_in_a_sentence(
    child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    spec = check({**ONE_WEIGHT}).spec.model_dump(mode="json")
    job_id = make_job(spec={**spec, "loss": {"type": "cross_entropy"}})
    assert train_next(child)
    job = job_row(job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["category"], job.error["code"]) == ("specification", "invalid_specification")
    assert job.error["message"].startswith("the specification is not accepted any more: /dataset/y")
