"""Jobs of several segments: a fork, its retries and their forks train on one and the same course,
one at a time and side by side, in either numerics class."""

from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.database.session import Database
from app.ids import new_id
from app.services.forks import fork as descent
from app.services.jobs import job_repository, submission, transitions
from app.services.metrics import reader
from app.services.metrics.reader import Selection
from app.tables import Checkpoint, Intervention, Job, JobState, ModelVersion, Tenant
from training.engine import checkpoint
from training.engine.blocks import Block
from training.engine.loop import train
from training.tensors.data import load
from training.tensors.numerics import Numerics
from training.validation.check import UNLIMITED, check
from worker.execution.run_jobs import train_next
from worker.process.job_inputs import segments_of
from worker.process.worker_process import WorkerProcess
from worker.recording.recorder import Recorder
from worker.recording.transaction import Prepared
from worker.replay.replay_job import ReplayJob
from worker.replay.verification import verification

SPEC: dict[str, Any] = {
    "dataset": "iris",
    "split": {"validation": 0.2, "test": 0.2},
    "model": [
        {"type": "linear", "out_features": 8},
        "relu",
        {"type": "dropout", "p": 0.2},
        {"type": "linear", "out_features": 3},
    ],
    "loss": "cross_entropy",
    "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
    "batch_size": 16,
    "iterations": 60,
    "evaluate_every": 7,
    "early_stopping": {"patience": 50},
}
BORDER = 30
CLASSES = {"fused": {}, "sequential": {"fuse": "never"}}


class Jobs:
    """The jobs of a tenant, made by the services and trained by a worker in this process."""

    def __init__(self, child: WorkerProcess, tenant_id: str, sections: dict[str, Any]) -> None:
        self.child = child
        self.tenant_id = tenant_id
        self.spec = SPEC | sections
        self.read = partial(child.database.session, tenant_id, write=False)
        self.write = partial(child.database.session, tenant_id)

    def post(self, **sections: Any) -> str:
        plan = check(self.spec | sections)
        with self.write() as session:
            return submission.create(session, plan, "req_test").id

    def fork(self, job_id: str, iteration: int = BORDER, **changes: Any) -> str:
        body = {"iteration": iteration, "changes": changes}
        return self.keep(
            descent.fork(self.read, self.child.storage, job_id, body, UNLIMITED, "req_test")
        )

    def retry(self, job_id: str) -> str:
        return self.keep(descent.retry(self.read, self.child.storage, job_id, "req_test"))

    def keep(self, heir: descent.PreparedFork) -> str:
        with self.write() as session:
            return descent.save(session, heir).id

    def cancel(self, job_id: str) -> None:
        with self.write() as session:
            transitions.cancel(session, job_id)

    def change(self, job_id: str, iteration: int, **changes: Any) -> None:
        """An intervention at an iteration, committed before the job comes there."""
        with self.write() as session:
            job = job_repository.get(session, job_id)
            job.interventions += 1
            session.add(
                Intervention(
                    id=new_id("int"),
                    tenant_id=job.tenant_id,
                    job_id=job_id,
                    number=job.interventions,
                    iteration=iteration,
                    changes=changes,
                )
            )

    def train(self) -> None:
        while train_next(self.child):
            pass

    def row(self, job_id: str) -> Job:
        with self.read() as session:
            return job_repository.get(session, job_id)

    def save(self, job_id: str, *iterations: int) -> None:
        """The job has a checkpoint at these iterations, as a worker would have written it."""
        job, numerics = self.row(job_id), Numerics.on("cpu")
        segments = segments_of(self.child, job)
        data = load(segments[-1].plan, numerics)
        for n in iterations:
            cut = [s for s in segments if s.until is not None and s.until < n]
            ruling = segments[len(cut)]
            course = [*cut, ruling._replace(until=n), segments[-1]]
            blocks = train(course, data, numerics)
            state = next(b.checkpoint for b in blocks if b.checkpoint.iteration == n)
            stored = self.child.storage.put("ckpt", checkpoint.encode(state))
            owned = {"tenant_id": self.tenant_id, "job_id": job_id, "iteration": n}
            with self.write() as session:
                session.add(Checkpoint(id=new_id("ckpt"), **owned, **stored._asdict()))

    def keep_checkpoints(self, job_id: str, iterations: tuple[int, ...]) -> None:
        """The job has a checkpoint at these iterations, and no other."""
        with self.write() as session:
            session.execute(delete(Checkpoint).where(Checkpoint.job_id == job_id))
        self.save(job_id, *iterations)

    def left(self, job_id: str) -> tuple[dict[str, bytes], str | None]:
        """Everything that a job recorded, as bits, and the hash of its model."""
        job = self.row(job_id)
        with self.read() as session:
            points = reader.read(session, job, job.series, Selection(), 10**6).series
            model = session.scalar(select(ModelVersion.sha256).where(ModelVersion.job_id == job_id))
        return {name: series.values.tobytes() for name, series in points.items()}, model

    def assert_same(self, *job_ids: str) -> None:
        """All have ended well, left the same, and can be verified."""
        for job_id in job_ids:
            job = self.row(job_id)
            assert job.state == JobState.SUCCEEDED, job.error
            assert self.left(job_id) == self.left(job_ids[0])
            verdict = verification(ReplayJob(self.child, job), lambda: None)
            assert verdict["verified"], verdict
            assert job.execution is not None
            assert job.execution["class"] == self.numerics_class

    @property
    def numerics_class(self) -> str:
        return "sequential" if "fuse" in self.spec else "fused"


@pytest.fixture(params=sorted(CLASSES))
def made(request: pytest.FixtureRequest, child: WorkerProcess, rows: Database) -> Jobs:
    with rows.session(write=False) as session:
        tenant_id = session.scalars(select(Tenant.id)).one()
    return Jobs(child, tenant_id, CLASSES[request.param])


@pytest.fixture
def parent(made: Jobs) -> str:
    """A job that has ended, with checkpoints before, at and after the border."""
    job_id = made.post()
    made.train()
    made.save(job_id, 20, BORDER, 40)
    return job_id


CHANGES: dict[str, Any] = {"optimizer": {"lr": 0.001}}


def test_a_fork_leaves_the_course_of_its_parent_where_it_says(made: Jobs, parent: str) -> None:
    fork = made.fork(parent, **CHANGES)
    made.train()
    before, after = (made.left(job_id)[0]["loss"] for job_id in (parent, fork))
    assert after[: 4 * BORDER] == before[: 4 * BORDER]
    assert after[4 * (BORDER + 1) :] != before[4 * (BORDER + 1) :]


@pytest.mark.parametrize("saved", [(), (20,), (BORDER,)], ids=str)
def test_the_retry_of_a_fork_goes_on_as_the_fork(
    made: Jobs, parent: str, saved: tuple[int, ...]
) -> None:
    """Whichever checkpoint it begins with: none, one before the border, or one at it."""
    reference, fork = made.fork(parent, **CHANGES), made.fork(parent, **CHANGES)
    made.cancel(fork)
    made.keep_checkpoints(fork, saved)
    retry = made.retry(fork)
    made.train()
    made.assert_same(reference, retry)


def test_the_retry_of_a_fork_that_was_stopped_behind_the_border_goes_on_as_the_fork(
    made: Jobs, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = CHANGES | {"iterations": 600, "checkpoint_every_seconds": 0}
    fork, prepare = made.fork(parent, **changes), Recorder.prepare

    def cancel_behind_the_border(recorder: Recorder, block: Block, **named: Any) -> Prepared:
        if block.first > BORDER:
            made.cancel(fork)
        return prepare(recorder, block, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "prepare", cancel_behind_the_border)
        made.train()
    assert BORDER < made.row(fork).iteration < 600
    reference, retry = made.fork(parent, **changes), made.retry(fork)
    made.train()
    assert made.row(retry).attempt_first_iteration > BORDER
    made.assert_same(reference, retry)


def test_a_retry_of_a_retry_and_its_fork_go_on_as_the_fork(made: Jobs, parent: str) -> None:
    reference, fork = made.fork(parent, **CHANGES), made.fork(parent, **CHANGES)
    made.cancel(fork)
    once = made.retry(fork)
    made.cancel(once)
    twice = made.retry(once)
    made.train()
    made.assert_same(reference, twice)
    forks = [made.fork(job_id, 45, seed=7, batch_size=8) for job_id in (reference, twice)]
    made.train()
    made.assert_same(*forks)
    assert made.left(forks[0]) != made.left(reference)


def test_an_intervention_before_and_after_the_border_holds_in_a_retry(made: Jobs) -> None:
    parent = made.post()
    made.change(parent, 10, lr=0.03)
    made.train()
    reference, fork = (made.fork(parent, seed=3) for _ in range(2))
    for job_id in (reference, fork):
        made.change(job_id, 44, lr=0.2)
    made.cancel(fork)
    retry = made.retry(fork)
    made.train()
    made.assert_same(reference, retry)
    assert made.left(reference)[0]["loss"][:120] == made.left(parent)[0]["loss"][:120]


def test_forks_and_their_retries_train_side_by_side_to_the_same_bits(
    made: Jobs, parent: str
) -> None:
    """Six jobs of two segments, begun at different checkpoints, claimed by one process."""
    forks = [made.fork(parent, optimizer={"lr": rate}) for rate in (0.001, 0.01, 0.03)]
    others = [made.fork(parent, optimizer={"lr": rate}) for rate in (0.001, 0.01, 0.03)]
    for job_id, saved in zip(others, ((), (20,), (BORDER,)), strict=True):
        made.cancel(job_id)
        made.keep_checkpoints(job_id, saved)
    retries = [made.retry(job_id) for job_id in others]
    made.train()
    for fork, retry in zip(forks, retries, strict=True):
        made.assert_same(fork, retry)
