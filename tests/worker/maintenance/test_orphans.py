"""What nobody needs is removed, and nothing else."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.config import Settings
from app.database.session import Database
from app.ids import new_id
from app.services.jobs import job_repository
from app.services.models import add_version
from app.storage import LOCK
from app.tables import Checkpoint, Dataset, Job, Tenant
from tests.worker.conftest import MakeJob
from worker.maintenance.checkpoint_retention import JOB_COUNT, MAX_ENDED_CHECKPOINT_COUNT, thin
from worker.maintenance.orphans import Housekeeper
from worker.process.worker_process import WorkerProcess

NO_TIME = 1e-9
"""Hours, or days."""


def keeper_of(child: WorkerProcess, **settings: float) -> Housekeeper:
    given = child.settings.model_dump() | settings
    return Housekeeper(Settings(**given), child.database)


def round_of(keeper: Housekeeper, hours_later: float = 0.0) -> None:
    """All of it, in as many steps as it takes."""
    keeper.rest_until = 0.0
    while not keeper.rest_until:
        keeper.go_on(time.time() + 3600 * hours_later)


def files(child: WorkerProcess) -> set[str]:
    found = (path for path in child.storage.root.rglob("*") if path.is_file())
    return {p.relative_to(child.storage.root).as_posix() for p in found if p.name != LOCK}


@pytest.fixture
def saved(child: WorkerProcess, rows: Database, make_job: MakeJob) -> Callable[..., str]:
    """A job with so many checkpoints that ended so many days ago."""

    def make(count: int, state: str = "succeeded", days: float = 0) -> str:
        ended = datetime.now(UTC) - timedelta(days=days) if state == "succeeded" else None
        job_id = make_job(state=state, finished_at=ended, iteration=count)
        for iteration in range(1, count + 1):
            stored = child.storage.put("ckpt", b"%d" % iteration)
            with rows.session() as session:
                tenant_id = session.scalars(select(Tenant.id)).one()
                whose = {"tenant_id": tenant_id, "job_id": job_id, "iteration": iteration}
                session.add(Checkpoint(id=new_id("ckpt"), **whose, **stored._asdict()))
        return job_id

    return make


def kept(rows: Database, job_id: str) -> list[int]:
    with rows.session(write=False) as session:
        query = select(Checkpoint.iteration).where(Checkpoint.job_id == job_id)
        return list(session.scalars(query.order_by(Checkpoint.iteration)))


def test_the_checkpoints_of_a_job_that_has_ended_are_thinned_and_then_expire(
    child: WorkerProcess, rows: Database, saved: Callable[..., str]
) -> None:
    fresh, old, older = saved(12), saved(12, days=2), saved(12, days=31)
    paused = saved(12, "paused")
    round_of(keeper_of(child))
    assert kept(rows, fresh) == kept(rows, paused) == list(range(1, 13))
    thinned = kept(rows, old)
    assert len(thinned) == MAX_ENDED_CHECKPOINT_COUNT
    assert thinned[-2:] == [11, 12]
    assert max(b - a for a, b in zip([0, *thinned], thinned, strict=False)) <= 3
    assert kept(rows, older) == []
    assert len(files(child)) == 12 + 12 + MAX_ENDED_CHECKPOINT_COUNT


@pytest.mark.parametrize(
    ("count", "days", "left"),
    [(1, 40, 0), (MAX_ENDED_CHECKPOINT_COUNT + 1, 2, MAX_ENDED_CHECKPOINT_COUNT)],
)
def test_many_jobs_are_gone_through_in_one_round(
    count: int, days: int, left: int, child: WorkerProcess, saved: Callable[..., str]
) -> None:
    for _ in range(JOB_COUNT + 1):
        saved(count, days=days)
    round_of(keeper_of(child))
    assert len(files(child)) == (JOB_COUNT + 1) * left


def test_what_is_not_committed_removes_no_file(
    child: WorkerProcess, rows: Database, saved: Callable[..., str]
) -> None:
    job_id = saved(12)

    def in_vain() -> None:
        with rows.session() as session:
            thin(session, child.storage, job_id, 5)
            job_repository.delete(session, child.storage, job_id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        in_vain()
    assert len(kept(rows, job_id)) == len(files(child)) == 12


@pytest.fixture
def dataset(child: WorkerProcess, rows: Database, make_job: MakeJob) -> str:
    """Where the file of a data set lies."""
    make_job()
    with child.storage.draft("dataset") as draft, rows.session() as session:
        draft.file.write(b"arrays")
        stored = draft.sealed()
        draft.keep(stored)
        tenant_id = session.scalars(select(Tenant.id)).one()
        given = {"name": "d", "target": "t", "rows": 1, "schema": {}, "source": {}}
        more = {"statistics": {}, "tenant_id": tenant_id, **stored._asdict()}
        session.add(Dataset(id=new_id("ds"), **given, **more))
    return stored.location


def test_orphans_are_removed_once_they_are_old(
    child: WorkerProcess, rows: Database, saved: Callable[..., str], dataset: str
) -> None:
    job_id = saved(2)
    with rows.session() as session:
        add_version(session, session.get_one(Job, job_id), child.storage.put("model", b"weights"))
    child.storage.lock("dataset").close()
    named = files(child)
    assert {name.split("/")[0] for name in named} == {"ckpt", "dataset", "model"}
    child.storage.put("ckpt", b"its worker died before the commit")
    child.storage.put("model", b"and so did this one's")
    for name in (
        "ckpt/ab/.ckpt_x.tmp",
        "dataset/.dataset_x.tmp",
        "spool/x",
        f"dataset/ab/{'ab' * 32}",
    ):
        (child.storage.root / name).parent.mkdir(parents=True, exist_ok=True)
        (child.storage.root / name).write_bytes(b"left by somebody who died")
    everything = files(child)
    keeper = keeper_of(child)
    round_of(keeper, hours_later=5.9)
    assert files(child) == everything
    round_of(keeper, hours_later=6.1)
    assert files(child) == named
    assert keeper.orphans == 6
    assert (child.storage.root / "dataset" / LOCK).exists()


def test_a_data_set_that_has_come_again_just_now_stays(child: WorkerProcess, dataset: str) -> None:
    keeper_of(child).remove(dataset)
    assert dataset in files(child)


def test_a_second_name_is_as_young_as_its_link(
    child: WorkerProcess, saved: Callable[..., str]
) -> None:
    """A fork gives old files new names before its transaction: their age is not the file's."""
    saved(1)
    (first,) = files(child)
    os.utime(child.storage.root / first, (1, 1))
    second = child.storage.share("ckpt", first)
    round_of(keeper_of(child))
    assert second in files(child)


def test_one_keeps_house_at_a_time(child: WorkerProcess) -> None:
    child.storage.put("ckpt", b"an orphan")
    time.sleep(0.02)  # the clock of files goes in steps
    keeper = keeper_of(child, orphans_kept_hours=NO_TIME)
    with child.storage.turn() as now:
        assert now is not None
        keeper.tidy()
        assert len(files(child)) == 1
    while not keeper.rest_until:
        keeper.tidy()
    assert files(child) == set()


def test_it_rests_between_two_rounds(child: WorkerProcess) -> None:
    keeper = keeper_of(child, orphans_kept_hours=NO_TIME)
    while not keeper.rest_until:
        keeper.tidy()
    child.storage.put("ckpt", b"an orphan")
    time.sleep(0.02)
    keeper.tidy()
    assert len(files(child)) == 1


def test_a_step_is_short_and_goes_on_where_the_last_one_ended(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.maintenance.orphans.MAX_STEP_SECONDS", 0.0)
    for _ in range(40):
        child.storage.put("ckpt", b"an orphan")
    time.sleep(0.02)
    keeper = keeper_of(child, orphans_kept_hours=NO_TIME)
    left = []
    while not keeper.rest_until:
        began = time.monotonic()
        keeper.tidy()
        assert time.monotonic() - began < 1
        left.append(len(files(child)))
    assert left[-1] == 0
    assert sum(a > b for a, b in zip([40, *left], left, strict=False)) > 10


def test_a_folder_that_cannot_be_read_stops_no_supervisor(child: WorkerProcess) -> None:
    child.storage.root.parent.mkdir(parents=True, exist_ok=True)
    child.storage.root.write_bytes(b"no folder")
    keeper_of(child).tidy()


def test_a_deleted_job_leaves_no_file(
    child: WorkerProcess, rows: Database, saved: Callable[..., str]
) -> None:
    job_id = saved(5)
    with rows.session() as session:
        job_repository.delete(session, child.storage, job_id)
    assert files(child) == set()


def test_a_deletion_whose_process_died_is_made_up_for(
    child: WorkerProcess, rows: Database, saved: Callable[..., str]
) -> None:
    job_id = saved(5)
    with rows.session() as session:
        job_repository.delete(session, child.storage, job_id)
        session.info["after_commit"].clear()  # as far as it came
    assert len(files(child)) == 5
    round_of(keeper_of(child), hours_later=6.1)
    assert files(child) == set()


def test_the_age_of_files_is_judged_by_their_own_clock(
    child: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with child.storage.turn():
        pass
    os.utime(child.storage.root / LOCK, (1, 1))
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: right + 3600)
    with child.storage.turn() as now:
        assert now is not None
        assert abs(now - right) < 60


def test_a_running_job_is_left_alone(
    child: WorkerProcess, rows: Database, saved: Callable[..., str]
) -> None:
    job_id = saved(12, "running")
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=None))
    round_of(keeper_of(child, checkpoints_kept_days=NO_TIME, checkpoints_thinned_days=NO_TIME))
    assert len(kept(rows, job_id)) == 12
