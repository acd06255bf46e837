"""Jobs that one process trains side by side: each is claimed, recorded and ended by itself."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sqlalchemy import func, select, text, update

from app.database.session import Database
from app.ids import new_id
from app.services.jobs import interventions, transitions
from app.services.metrics import reader
from app.services.metrics.reader import Selection
from app.services.operations import counters
from app.tables import Checkpoint, Event, Job, JobState, ModelVersion, Worker
from tests.servers import eventually
from tests.specifications import Specification
from tests.training.small_jobs import ready, regression, trained
from tests.worker.conftest import MakeJob
from training.engine.fused_group import FusedGroup
from training.validation.check import Limits, check
from training.validation.fusion_rules import fusion_key, why_not_fusable
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_compatible, claim_next

Make = Callable[..., str]
JobRow = Callable[[str], Job]


def specification(seed: int, **sections: Any) -> Specification:
    """A member of the group; they differ in seed, rate and length."""
    return regression(
        **{
            "seed": seed,
            "iterations": 60 + 7 * seed,
            "evaluate_every": 20,
            "optimizer": {"type": "sgd", "lr": 0.01 * (1 + seed)},
            **sections,
        }
    )


@pytest.fixture
def post(make_job: MakeJob) -> Make:
    """Queues a job as a POST would."""

    def make(raw: Specification, **columns: Any) -> str:
        plan = check(raw)
        fused = why_not_fusable(plan, "cpu") is None
        return make_job(
            spec=plan.spec.model_dump(mode="json"),
            iterations=plan.iterations,
            series=["loss", *plan.validation_series],
            **{"fusion_key": fusion_key(plan) if fused else None, **columns},
        )

    return make


def losses(rows: Database, job: Job) -> NDArray[np.float32]:
    """What was recorded."""
    with rows.session(write=False) as session:
        return reader.read(session, job, ["loss"], Selection(), 10**6).series["loss"].values


def events(rows: Database, job_id: str) -> list[str]:
    """What the job's log tells about its state."""
    with rows.session(write=False) as session:
        query = select(Event.data).where(Event.job_id == job_id, Event.type == "state")
        return [data["state"] for data in session.scalars(query.order_by(Event.sequence))]


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs each group that is made has."""
    seen, begin = list[int](), FusedGroup.__init__

    def begun(self: FusedGroup, jobs: Any) -> None:
        seen.append(len(jobs))
        begin(self, jobs)

    monkeypatch.setattr(FusedGroup, "__init__", begun)
    return seen


def test_a_group_leaves_what_each_would_have_left_alone(
    child: WorkerProcess,
    rows: Database,
    post: Make,
    job_row: JobRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = sizes(monkeypatch)
    ids = [post(specification(seed)) for seed in range(5)]
    assert train_next(child)
    assert made[0] == 1  # the first loss of the first is seen at once
    assert max(made) == 5
    for seed, job_id in enumerate(ids):
        job, alone = job_row(job_id), trained(ready(specification(seed)))
        assert job.state == JobState.SUCCEEDED
        assert job.iteration == 60 + 7 * seed
        assert losses(rows, job).tobytes() == alone.losses.tobytes()
        assert job.result == alone.outcome.result
        assert events(rows, job_id) == ["running", "succeeded"]
        assert job.execution is not None
        assert job.execution["class"] == "fused"
        assert "why" in job.execution
    with rows.session(write=False) as session:
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 5
        assert session.scalars(select(Job.attempts)).all() == [1] * 5
        counted, done = counters.read(session), sum(60 + 7 * seed for seed in range(5))
        assert counted[counters.ITERATIONS.name, "cpu"] == done
        assert counted[counters.LOSSES.name, "cpu"] == done
    assert not train_next(child)


def test_no_job_goes_along_before_one_of_a_higher_priority(
    child: WorkerProcess, rows: Database, post: Make
) -> None:
    post(specification(0), priority=5)
    low = [post(specification(seed), priority=seed % 2) for seed in range(1, 5)]
    claim = claim_next(child)
    assert claim is not None
    lead = claim.job
    other = post({**specification(9), "deterministic": True}, priority=1)
    assert [claim.job.id for claim in claim_compatible(child, lead, 1, 10)] == [low[0], low[2]]
    assert claim_compatible(child, lead, 3, 10) == []  # the other one is before them
    with rows.session() as session:
        session.execute(update(Job).where(Job.id == other).values(state=JobState.PAUSED))
    assert [claim.job.id for claim in claim_compatible(child, lead, 3, 10)] == [low[1], low[3]]


def test_while_another_tenant_waits_nobody_joins_what_is_on_its_way(
    child: WorkerProcess, post: Make
) -> None:
    post(specification(0))
    claim = claim_next(child)
    assert claim is not None
    lead = claim.job
    post(specification(1))
    post(specification(2), tenant="another")
    assert claim_compatible(child, lead, 2, 10) == []
    assert len(claim_compatible(child, lead, 1, 10)) == 1  # as it begins


@pytest.mark.parametrize(
    ("columns", "sections"),
    [
        ({"tenant": "another"}, {}),
        ({"deaths": 1}, {}),
        ({"device_wanted": "cuda"}, {}),
        ({"fusion_key": None}, {}),  # a fork that changes what the graph depends on
        ({}, {"batch_size": 9}),
        ({}, {"fuse": "never"}),
    ],
)
def test_who_does_not_go_along(
    child: WorkerProcess, post: Make, columns: dict[str, Any], sections: Specification
) -> None:
    post(specification(0))
    claim = claim_next(child)
    assert claim is not None
    lead = claim.job
    post(specification(1, **sections), **columns)
    assert claim_compatible(child, lead, 1, 10) == []


@pytest.mark.parametrize(("idle", "taken"), [(0, 6), (1, 3), (2, 2), (6, 0)])
def test_a_group_leaves_work_for_those_that_have_none(
    child: WorkerProcess, rows: Database, post: Make, idle: int, taken: int
) -> None:
    with rows.session() as session:
        for n in range(idle):
            here = {"supervisor": "s", "place": "p", "pid": n, "pool": "training", "device": "cpu"}
            session.add(Worker(id=new_id("wrk"), **here))
    post(specification(0))
    claim = claim_next(child)
    assert claim is not None
    lead = claim.job
    for seed in range(1, 7):
        post(specification(seed))
    assert len(claim_compatible(child, lead, 1, 10)) == taken


def test_who_is_cancelled_paused_or_changed_leaves_the_others_alone(
    child: WorkerProcess, rows: Database, post: Make, job_row: JobRow
) -> None:
    long = {"iterations": 30_000, "evaluate_every": 10_000}
    ids = [post(specification(seed, **long)) for seed in range(4)]
    cancelled, paused, changed, undisturbed = ids
    thread = threading.Thread(target=train_next, args=[child])
    thread.start()
    try:
        eventually(
            lambda: all(job_row(job_id).iteration > 100 for job_id in ids), "all train", within=60
        )
        with rows.session() as session:
            transitions.cancel(session, cancelled)
            transitions.pause(session, paused)
            interventions.change(session, changed, {"iterations": 12_345}, Limits())
    finally:
        thread.join()
    assert job_row(cancelled).state == JobState.CANCELLED
    assert job_row(paused).state == JobState.PAUSED
    with rows.session(write=False) as session:
        at = session.scalars(select(Checkpoint.iteration).where(Checkpoint.job_id == paused)).all()
    assert max(at) == job_row(paused).iteration
    for seed, job_id, end in ((2, changed, 12_345), (3, undisturbed, 30_000)):
        job = job_row(job_id)
        assert (job.state, job.iteration) == (JobState.SUCCEEDED, end)
        alone = trained(ready(specification(seed, **long)))
        assert losses(rows, job).tobytes() == alone.losses[:end].tobytes()


def test_a_group_too_large_for_the_memory_is_halved(
    child: WorkerProcess,
    rows: Database,
    post: Make,
    job_row: JobRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, advance = [post(specification(seed)) for seed in range(5)], FusedGroup.advance

    def in_little_memory(self: FusedGroup, *given: Any) -> Any:
        if len(self.jobs) > 2:
            raise torch.OutOfMemoryError
        return advance(self, *given)

    monkeypatch.setattr(FusedGroup, "advance", in_little_memory)
    while train_next(child):
        pass
    for seed, job_id in enumerate(ids):
        job = job_row(job_id)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
        alone = trained(ready(specification(seed)))
        assert losses(rows, job).tobytes() == alone.losses.tobytes()


def test_what_is_wrong_with_one_ends_that_one(
    child: WorkerProcess,
    rows: Database,
    post: Make,
    job_row: JobRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, advance = [post(specification(seed)) for seed in range(4)], FusedGroup.advance

    def with_a_poisoned_member(self: FusedGroup, *given: Any) -> Any:
        if any(job.plan.spec.seed == 2 for job in self.jobs):
            raise RuntimeError("nobody knows why")
        return advance(self, *given)

    monkeypatch.setattr(FusedGroup, "advance", with_a_poisoned_member)
    while train_next(child):
        pass
    states = [job_row(job_id).state for job_id in ids]
    assert states == [JobState.SUCCEEDED] * 2 + [JobState.FAILED] + [JobState.SUCCEEDED]


def test_what_the_database_refuses_of_one_is_written_of_the_others(
    child: WorkerProcess, rows: Database, post: Make, job_row: JobRow
) -> None:
    ids = [post(specification(seed)) for seed in range(4)]
    of_one = f"BEFORE INSERT ON metric_chunks FOR EACH ROW WHEN (NEW.job_id = '{ids[2]}')"
    if rows.file is None:
        refuse = f"CREATE TRIGGER refused {of_one} EXECUTE FUNCTION refuse_a_new_state()"
    else:
        refuse = f"CREATE TRIGGER refused {of_one} BEGIN SELECT RAISE(ABORT, 'no'); END"
    with rows.session() as session:
        session.execute(text(refuse))
    while train_next(child):
        pass
    for seed, job_id in enumerate(ids):
        job = job_row(job_id)
        if seed == 2:
            assert (job.state, job.iteration) == (JobState.FAILED, 0)
            continue
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
        alone = trained(ready(specification(seed)))
        assert losses(rows, job).tobytes() == alone.losses.tobytes()


def test_who_was_there_when_a_process_died_goes_on_alone(
    child: WorkerProcess, post: Make, job_row: JobRow
) -> None:
    ids = [post(specification(0), deaths=1), post(specification(1)), post(specification(2))]
    assert train_next(child)
    states = [job_row(job_id).state for job_id in ids]
    assert states == [JobState.SUCCEEDED, JobState.QUEUED, JobState.QUEUED]
    execution = job_row(ids[0]).execution
    assert execution is not None
    assert (execution["class"], execution["group"]) == ("fused", 1)


def test_one_that_diverges_ends_alone(child: WorkerProcess, post: Make, job_row: JobRow) -> None:
    wild = {"type": "sgd", "lr": 1e12}
    ids = [post(specification(0)), post(specification(1, optimizer=wild)), post(specification(2))]
    while train_next(child):
        pass
    states = [job_row(job_id).state for job_id in ids]
    assert states == [JobState.SUCCEEDED, JobState.FAILED, JobState.SUCCEEDED]


def test_members_take_over_where_a_lost_attempt_stood(
    child: WorkerProcess, rows: Database, post: Make, job_row: JobRow
) -> None:
    """A worker is told to stop in mid-run; another goes on with all of them to the same bits."""
    long = {"iterations": 20_000, "evaluate_every": 5_000}
    ids = [post(specification(seed, **long)) for seed in range(3)]
    thread = threading.Thread(target=train_next, args=[child])
    thread.start()
    eventually(lambda: all(job_row(i).iteration > 100 for i in ids), "all train", within=60)
    child.draining.set()
    thread.join()
    assert {job_row(job_id).state for job_id in ids} == {JobState.QUEUED}
    child.draining.clear()
    while train_next(child):
        pass
    for seed, job_id in enumerate(ids):
        job = job_row(job_id)
        assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
        alone = trained(ready(specification(seed, **long)))
        assert losses(rows, job).tobytes() == alone.losses.tobytes()
