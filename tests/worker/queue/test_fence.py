"""Claims and fences: one owner at a time, and the writes of all others take no effect."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import update

from app.database.session import Database
from app.services.jobs import transitions
from app.tables import Job, JobState
from tests.faults.switches.sitecustomize import no_fence
from tests.worker.conftest import MakeJob
from worker.process.worker_process import WorkerProcess
from worker.queue import fence
from worker.queue.claim import claim_next
from worker.queue.fence import LeaseLost, write

ReadJob = Callable[[str], Job]


def test_a_claim_raises_the_fence_and_names_the_worker(
    child: WorkerProcess, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    claim = claim_next(child)
    assert claim is not None
    claimed = claim.job
    row = job_row(job_id)
    assert (row.state, row.fence, row.worker) == (JobState.RUNNING, 1, child.id)
    assert claimed.fence == 1
    assert row.lease_expires_at is not None
    assert row.attempt_started_at is not None
    lease = (row.lease_expires_at - row.attempt_started_at).total_seconds()
    assert lease == pytest.approx(child.settings.lease_seconds, abs=1)
    assert claim_next(child) is None


def test_every_job_is_claimed_exactly_once_by_many_at_once(
    child: WorkerProcess, make_job: MakeJob
) -> None:
    enough = child.settings.model_copy(update={"max_running_jobs": 12})
    here = replace(child, settings=enough)
    made = {make_job() for _ in range(12)}
    with ThreadPoolExecutor(6) as pool:
        claimed = list(pool.map(lambda _: claim_next(here), range(12)))
    assert {claim.job.id for claim in claimed if claim} == made


def test_priority_comes_first_then_the_tenant_with_less_then_age(
    child: WorkerProcess, make_job: MakeJob
) -> None:
    first, second = make_job("a"), make_job("a")
    other, urgent = make_job("b"), make_job("a", priority=5)
    claimed = [claim.job.id for _ in range(4) if (claim := claim_next(child))]
    assert claimed == [urgent, other, first, second]


def test_a_job_for_another_device_is_left_alone(child: WorkerProcess, make_job: MakeJob) -> None:
    make_job(device_wanted="cuda")
    assert claim_next(child) is None


def test_a_write_under_an_old_fence_changes_nothing(
    child: WorkerProcess, rows: Database, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    claim = claim_next(child)
    assert claim is not None
    claimed = claim.job
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(fence=Job.fence + 1))
    with pytest.raises(LeaseLost), rows.session() as session:
        write(session, claimed, iteration=7)
    assert job_row(job_id).iteration == 0


def test_without_its_predicate_a_write_under_an_old_fence_takes_effect(
    child: WorkerProcess,
    rows: Database,
    make_job: MakeJob,
    job_row: ReadJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the switch by which the harness shows that it notices still turns."""
    monkeypatch.setattr(fence, "owned_by", fence.owned_by)  # it comes back
    monkeypatch.setattr(
        fence, "fenced_update", fence.fenced_update.__wrapped__
    )  # and nothing is kept
    no_fence(fence)
    job_id = make_job()
    claim = claim_next(child)
    assert claim is not None
    claimed = claim.job
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(fence=Job.fence + 1))
    with rows.session() as session:
        write(session, claimed, claimed.interventions, iteration=7)
    assert job_row(job_id).iteration == 7


def test_a_cancelled_job_refuses_its_worker(
    child: WorkerProcess, rows: Database, make_job: MakeJob, job_row: ReadJob
) -> None:
    job_id = make_job()
    claim = claim_next(child)
    assert claim is not None
    claimed = claim.job
    with rows.session() as session:
        transitions.cancel(session, job_id)
    with pytest.raises(LeaseLost), rows.session() as session:
        write(session, claimed, state=JobState.SUCCEEDED)
    row = job_row(job_id)
    assert (row.state, row.fence) == (JobState.CANCELLED, 2)
    assert row.finished_at is not None
