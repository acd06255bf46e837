"""What a job says when its files cannot be kept."""

from collections.abc import Callable

from app.tables import Job
from tests.worker.conftest import MakeJob
from worker.child import Child
from worker.job import train_next


def test_a_model_that_cannot_be_stored_fails_the_job_as_a_fault_of_the_place(
    child: Child, make_job: MakeJob, job_row: Callable[[str], Job]
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
    assert job.error["message"] == "a file could not be written or read: Not a directory"
