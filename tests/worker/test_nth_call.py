"""Whichever call to the operating system fails while a job trains: no bad checkpoint is committed,
and the job ends with a code that says what was the matter."""

import errno
from collections.abc import Callable
from itertools import count

import pytest
from sqlalchemy import select

from app.database.session import Database
from app.tables import Checkpoint, Job, ModelVersion
from tests.failing import failing
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.engine import checkpoint
from training.tensors.numerics import Numerics
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess

SPEC = {**ONE_WEIGHT, "iterations": 400, "checkpoint_every_seconds": 0}
CODES = {errno.ENOSPC: "storage_full", errno.EFBIG: "storage_full", errno.EIO: "storage_failed"}


@pytest.mark.parametrize("code", CODES, ids=["ENOSPC", "EFBIG", "EIO"])
def test_no_bad_checkpoint_is_committed_whichever_call_fails(
    code: int,
    child: WorkerProcess,
    rows: Database,
    make_job: MakeJob,
    job_row: Callable[[str], Job],
) -> None:
    plan = check(SPEC)
    spec, seen = plan.spec.model_dump(mode="json"), set[str | None]()
    for n in count(1, 1 if code == errno.ENOSPC else 4):
        job_id = make_job(spec=spec, iterations=plan.iterations)
        with failing(child.storage.root, n, code) as calls:
            assert train_next(child)
        job = job_row(job_id)
        committed_is_sound(child, rows, job_id)
        if calls.failed is None:
            assert job.state == "succeeded"
            break
        seen.add(calls.failed)
        assert job.state == "failed"
        assert job.error is not None
        assert job.error["code"] == CODES[code]
        assert (job.error["category"], job.error["retryable"]) == ("infrastructure", True)
    if code == errno.ENOSPC:
        assert seen >= {"mkdir", "open", "write", "fsync", "rename"}


def committed_is_sound(child: WorkerProcess, rows: Database, job_id: str) -> None:
    """What rows name is there, whole, and can be read; what they do not name is not."""
    with rows.session(write=False) as session:
        saved = session.scalars(select(Checkpoint).where(Checkpoint.job_id == job_id)).all()
        named = {*session.scalars(select(Checkpoint.location))}
        named |= {*session.scalars(select(ModelVersion.location))}
    for row in saved:
        content = child.storage.get(row.location, row.sha256)
        assert checkpoint.decode(content, Numerics.on("cpu")).iteration == row.iteration
        assert len(content) == row.size
    there = {p for p in child.storage.root.rglob("*") if p.is_file()}
    assert {path.relative_to(child.storage.root).as_posix() for path in there} == named
