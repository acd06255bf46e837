"""Jobs that wait or rest while the schema is brought to another version, or the worker to another
torch, go on as if nothing had been."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from alembic import command
from numpy.typing import NDArray
from sqlalchemy import select, update

from app.admin.migrate import configuration
from app.database.session import Database
from app.services.jobs import transitions
from app.storage import Stored
from app.tables import Checkpoint, Event, Job, MetricChunk, ModelVersion
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.engine import checkpoint
from training.tensors.numerics import Numerics
from training.tensors.tensor_file import pack
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess
from worker.queue.attempt_end import PAUSED
from worker.recording.recorder import Recorder

SPEC = {**ONE_WEIGHT, "iterations": 600, "checkpoint_every_seconds": 0}
ReadJob = Callable[[str], Job]


@pytest.fixture
def queued(make_job: MakeJob) -> Callable[[], str]:
    plan = check(SPEC)
    spec = plan.spec.model_dump(mode="json")
    return lambda: make_job(spec=spec, iterations=plan.iterations)


@pytest.fixture
def paused(
    child: WorkerProcess,
    rows: Database,
    queued: Callable[[], str],
    job_row: ReadJob,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A job that was trained for a while and rests."""
    job_id = queued()
    asked = list[Any]()
    prepare = Recorder.prepare

    def pause_meanwhile(recorder: Recorder, *given: Any, **named: Any) -> Any:
        if not asked:
            asked.append(given)
            with rows.session() as session:
                transitions.pause(session, job_id)
        return prepare(recorder, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "prepare", pause_meanwhile)
        assert train_next(child)
    row = job_row(job_id)
    assert (row.state, row.state_reason) == ("paused", PAUSED.reason)
    assert 0 < row.iteration < SPEC["iterations"]
    return job_id


def resume(rows: Database, job_id: str) -> None:
    with rows.session() as session:
        transitions.resume(session, job_id)


def left(rows: Database, job_id: str) -> tuple[NDArray[np.int32], str]:
    """The losses of a job, as bits, and the hash of its model."""
    with rows.session(write=False) as session:
        query = select(MetricChunk.values).where(
            MetricChunk.job_id == job_id, MetricChunk.series == "loss"
        )
        chunks = session.scalars(query.order_by(MetricChunk.first_iteration)).all()
        model = select(ModelVersion.sha256).where(ModelVersion.job_id == job_id)
        return np.concatenate(chunks).view(np.int32), session.scalars(model).one()


def findings(rows: Database, job_id: str) -> list[dict[str, Any]]:
    with rows.session(write=False) as session:
        query = select(Event.data).where(Event.job_id == job_id, Event.type == "finding")
        return list(session.scalars(query.order_by(Event.sequence)))


def same(rows: Database, one: str, other: str) -> bool:
    losses, model = left(rows, one)
    others, another = left(rows, other)
    return bool(np.array_equal(losses, others)) and model == another


def test_a_queued_and_a_paused_job_outlive_an_upgrade_of_the_schema(
    child: WorkerProcess,
    rows: Database,
    database_url: str,
    paused: str,
    queued: Callable[[], str],
    job_row: ReadJob,
) -> None:
    waiting = queued()
    at = job_row(paused).iteration
    rows.dispose()
    schema = configuration(database_url)
    command.downgrade(schema, "0001")  # as the version before had written them
    command.upgrade(schema, "head")
    assert (job_row(paused).state, job_row(paused).iteration) == ("paused", at)
    assert job_row(waiting).state == "queued"
    assert train_next(child)
    resume(rows, paused)
    assert train_next(child)
    assert {job_row(job_id).state for job_id in (waiting, paused)} == {"succeeded"}
    assert job_row(paused).attempt_first_iteration > 0
    assert same(rows, waiting, paused)


def test_a_checkpoint_of_a_format_to_come_is_refused_in_a_sentence_and_the_one_before_serves(
    child: WorkerProcess, rows: Database, paused: str, queued: Callable[[], str], job_row: ReadJob
) -> None:
    another_format(child, rows, paused)
    resume(rows, paused)
    assert train_next(child)
    assert job_row(paused).state == "succeeded"
    (finding,) = findings(rows, paused)
    assert finding["finding"] == "checkpoint_unreadable"
    assert finding["reason"] == ("format 'fallline checkpoint 2', expected 'fallline checkpoint 1'")
    undisturbed = queued()
    assert train_next(child)
    assert same(rows, undisturbed, paused)


def another_format(child: WorkerProcess, rows: Database, job_id: str) -> None:
    """The newest checkpoint is one of a version to come."""
    content = pack({"parameters": torch.zeros(1)}, {"format": "fallline checkpoint 2"})
    stored: Stored = child.storage.put("ckpt", content)
    with rows.session() as session:
        query = select(Checkpoint).where(Checkpoint.job_id == job_id)
        newest = session.scalars(query.order_by(Checkpoint.iteration.desc())).first()
        assert newest is not None
        session.execute(
            update(Checkpoint).where(Checkpoint.id == newest.id).values(**stored._asdict())
        )


def test_a_job_that_goes_on_under_another_torch_says_that_its_bits_may_differ(
    child: WorkerProcess,
    rows: Database,
    paused: str,
    job_row: ReadJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun_with = Numerics.on("cpu").fingerprint()
    monkeypatch.setattr(torch, "__version__", "99.0")
    here = Numerics.on("cpu").fingerprint()
    resume(rows, paused)
    assert train_next(child)
    assert job_row(paused).state == "succeeded"
    told = {"fingerprint": here, "begun_with": begun_with, "torch": "99.0"}
    assert findings(rows, paused) == [{"finding": "numerics_differ"} | told]


def test_a_job_that_goes_on_under_the_same_torch_says_nothing(
    child: WorkerProcess, rows: Database, paused: str
) -> None:
    resume(rows, paused)
    assert train_next(child)
    assert findings(rows, paused) == []


def test_any_format_but_ours_is_named_when_it_is_refused() -> None:
    content = pack({"parameters": torch.zeros(1)}, {"format": "fallline checkpoint 0"})
    with pytest.raises(ValueError, match="fallline checkpoint 0"):
        checkpoint.decode(content, Numerics.on("cpu"))
