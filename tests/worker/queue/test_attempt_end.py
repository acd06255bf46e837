"""What an attempt says when it ends a job."""

from collections.abc import Callable

from app.tables import Job
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess


def test_a_model_that_cannot_be_stored_fails_the_job_as_a_fault_of_the_place(
    child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    child.storage.root.mkdir(parents=True, exist_ok=True)
    (child.storage.root / "model").write_text("no folder")  # as a full disk, whoever asks
    job_id = make_job()
    assert train_next(child)
    job = job_row(job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["category"], job.error["code"]) == ("infrastructure", "storage_failed")
    assert job.error["retryable"]
    assert job.error["message"] == "a file could not be written or read: File exists"


def test_the_time_of_earlier_attempts_counts(
    child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    spec = check({**ONE_WEIGHT, "time_limit_seconds": 3600}).spec.model_dump(mode="json")
    fresh, tired = make_job(spec=spec), make_job(spec=spec, running_seconds=3599.9999)
    assert train_next(child)
    assert train_next(child)
    assert job_row(fresh).state == "succeeded"
    late = job_row(tired)
    assert late.error is not None
    assert (late.state, late.error["category"]) == ("failed", "timeout")
    assert late.running_seconds > 3600
    assert late.iteration >= 1  # what was computed is kept
