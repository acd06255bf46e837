"""A lease, as its holder knows it: by its own monotonic clock, from when it asked."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text, update

from app.database.session import Database
from app.tables import Job, JobState
from tests.servers import eventually
from tests.worker.conftest import MakeJob
from training.engine.blocks import Block
from training.engine.loop import Loop
from worker.execution.group_writer import Entry, GroupWriter
from worker.execution.member import Member
from worker.execution.run_jobs import give_back, train_next
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_next
from worker.queue.fence import LeaseLost
from worker.queue.heartbeat import SAFE_LEASE_RATIO, Heartbeat


@pytest.fixture
def claimed(child: WorkerProcess, make_job: MakeJob) -> Job:
    make_job()
    claim = claim_next(child)
    assert claim is not None
    return claim.job


def quick(child: WorkerProcess, **settings: float) -> WorkerProcess:
    """The same worker with other times."""
    return replace(child, settings=child.settings.model_copy(update=settings))


def test_it_holds_from_when_it_was_asked_for_and_not_to_its_very_end(
    child: WorkerProcess, claimed: Job
) -> None:
    whole = child.settings.lease_seconds
    assert Heartbeat(child, claimed, time.monotonic() - SAFE_LEASE_RATIO * whole + 1).holds
    assert not Heartbeat(child, claimed, time.monotonic() - SAFE_LEASE_RATIO * whole - 0.01).holds


def test_a_heartbeat_makes_it_hold_again(child: WorkerProcess, claimed: Job) -> None:
    often = quick(child, heartbeat_seconds=0.1)
    with Heartbeat(often, claimed, time.monotonic() - 100) as heartbeat:
        assert not heartbeat.holds
        heartbeat.wait()
        assert heartbeat.holds


@contextmanager
def nobody_else_writes(rows: Database) -> Iterator[None]:
    """The answer to whoever asks meanwhile is late."""
    with rows.session() as session:
        connection = session.connection()  # SQLite's is locked with that
        if rows.file is None:
            connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        yield


def test_a_heartbeat_that_is_answered_late_holds_from_when_it_was_asked_for(
    child: WorkerProcess, claimed: Job, rows: Database
) -> None:
    often = quick(child, heartbeat_seconds=0.05)
    with Heartbeat(often, claimed, time.monotonic() - 100) as heartbeat, nobody_else_writes(rows):
        time.sleep(1)
        heartbeat.ended.set()  # no other follows
        freed = time.monotonic()
    assert heartbeat.holds
    assert heartbeat.renewed_at < freed


def test_a_block_that_is_answered_late_makes_it_hold_from_when_it_was_sent(
    child: WorkerProcess, claimed: Job, rows: Database
) -> None:
    member, block = begun(child, claimed)
    heartbeat = member.heartbeat
    with GroupWriter(child) as writer:
        with nobody_else_writes(rows):
            writer.put([Entry(member, block)])
            time.sleep(1)
            freed = time.monotonic()
        writer.flush()
    assert heartbeat.began < heartbeat.renewed_at < freed


def test_a_claim_that_is_answered_late_holds_from_when_it_was_asked_for(
    child: WorkerProcess, rows: Database, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job()
    beat, since = Heartbeat.beat, list[float]()

    def beat_seen(heartbeat: Heartbeat) -> None:
        since.append(heartbeat.renewed_at)
        beat(heartbeat)

    monkeypatch.setattr(Heartbeat, "beat", beat_seen)
    with ThreadPoolExecutor(1) as pool:
        with nobody_else_writes(rows):
            trained = pool.submit(train_next, child)
            time.sleep(1)
            freed = time.monotonic()
        assert trained.result()
    (asked_at,) = since
    assert asked_at < freed


def test_who_waits_hears_that_it_is_another_s(
    child: WorkerProcess, claimed: Job, rows: Database
) -> None:
    with rows.session() as session:
        session.execute(update(Job).values(fence=Job.fence + 1))
    often = quick(child, heartbeat_seconds=0.1)
    with Heartbeat(often, claimed, time.monotonic() - 100) as heartbeat, pytest.raises(LeaseLost):
        heartbeat.wait()


def test_while_the_database_is_away_nothing_stalls(
    child: WorkerProcess, claimed: Job, tmp_path: Path
) -> None:
    often = quick(child, heartbeat_seconds=0.1, stall_seconds=1)
    nowhere = replace(often, database=Database(f"sqlite:///{tmp_path}/no/such/folder"))
    with Heartbeat(nowhere, claimed) as waiting, Heartbeat(often, claimed) as hanging:
        eventually(lambda: hanging.stalled, "it stalls where the database answers", within=5)
        eventually(lambda: not hanging.thread.is_alive(), "the lease is left to expire")
        time.sleep(1)
        assert not waiting.stalled


def test_no_file_is_written_under_a_lease_that_may_have_run_out(
    child: WorkerProcess, claimed: Job
) -> None:
    member, block = begun(child, claimed, time.monotonic() - 100)
    with GroupWriter(child) as writer:
        writer.put([Entry(member, block, save=True)])
        time.sleep(0.5)
        assert not files(child)
        member.heartbeat.renewed(time.monotonic())
        writer.flush()
        assert files(child)


def begun(child: WorkerProcess, claimed: Job, since: float | None = None) -> tuple[Member, Block]:
    """The first block of an attempt, computed, and a heart that does not beat."""
    member = Member(child, claimed, time.monotonic() if since is None else since)
    member.resume(None)
    (block,) = Loop().blocks([member.progress])
    return member, block


def files(child: WorkerProcess) -> list[Path]:
    """All that is stored."""
    return [path for path in child.storage.root.rglob("*") if path.is_file()]


def test_what_is_given_back_has_used_no_attempt(
    child: WorkerProcess, claimed: Job, rows: Database
) -> None:
    assert give_back(child, Job.worker == child.id)
    with rows.session(write=False) as session:
        job = session.get_one(Job, claimed.id)
    assert (job.state, job.attempts, job.fence) == (JobState.QUEUED, 0, 1)
    child.draining.set()
    assert not give_back(child, Job.worker == child.id)
