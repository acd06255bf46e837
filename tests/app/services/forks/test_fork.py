"""Which arguments a fork cannot turn on or off; whom it takes over stays until it has."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.database.session import Database
from app.errors import NotFound
from app.ids import new_id
from app.services.forks import fork
from app.services.forks.fork import SLOTS
from app.services.jobs import job_repository
from app.storage import Storage
from app.tables import Checkpoint, JobState, MetricChunk
from app.tables.metric import CHUNK_VALUES
from tests.app.services.jobs.test_transitions import made
from tests.app.talk import TINY
from training.catalog.optimizers import OPTIMIZERS
from training.functional.optimizers import RULES
from training.validation.check import UNLIMITED, check


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_arguments_that_decide_about_state_are_the_ones_that_are_named(name: str) -> None:
    rule, word = RULES[name], OPTIMIZERS[name].model_validate({"type": name})
    plain = set(rule.slots(word))
    deciding = {
        field
        for field, value in word
        if isinstance(value, bool | float)
        and set(rule.slots(word.model_copy(update={field: not value}))) != plain
    }
    assert deciding == {field for field in SLOTS if field in type(word).model_fields}


def test_a_job_is_not_deleted_before_another_has_taken_it_over(
    rows: Database, tmp_path: Path
) -> None:
    spec = check(TINY, UNLIMITED).spec.model_dump(mode="json")
    job_id = made(rows, state=JobState.CANCELLED, spec=spec)
    storage = Storage(tmp_path)

    def delete() -> None:
        with rows.session() as session:
            job_repository.delete(session, storage, job_id)

    deleting = threading.Thread(target=delete)
    heir = fork.retry(partial(rows.session, write=False), storage, job_id, "req_1")
    with rows.session() as session:
        kept = fork.save(session, heir)
        deleting.start()
        deleting.join(0.3)
        assert deleting.is_alive()
    deleting.join()
    with rows.session(write=False) as session:
        assert job_repository.get(session, kept.id).retry_of == job_id


def chunked(rows: Database, job_id: str, losses: np.ndarray[Any, Any]) -> None:
    """The losses of a job, as a worker records them."""
    with rows.session() as session:
        job = job_repository.get(session, job_id)
        job.iteration = len(losses)
        session.add_all(
            MetricChunk(
                tenant_id=job.tenant_id,
                job_id=job_id,
                series="loss",
                first_iteration=first,
                stride=1,
                values=losses[first : first + CHUNK_VALUES],
            )
            for first in range(0, len(losses), CHUNK_VALUES)
        )


@pytest.mark.parametrize(
    "n",
    [
        0,
        1,
        CHUNK_VALUES - 1,
        CHUNK_VALUES,
        CHUNK_VALUES + 1,
        2 * CHUNK_VALUES + 5,
        2 * CHUNK_VALUES + 9,
    ],
)
def test_a_fork_has_the_losses_before_it_to_the_bit(n: int, rows: Database, tmp_path: Path) -> None:
    spec = check(TINY | {"iterations": 5000}, UNLIMITED).spec.model_dump(mode="json")
    job_id = made(rows, spec=spec)
    losses = np.random.default_rng(1).normal(size=2 * CHUNK_VALUES + 9).astype(np.float32)
    losses[[3, CHUNK_VALUES, -1]] = -0.0, np.nan, np.inf
    losses.view(np.uint32)[5] = 0x7FC0BEEF  # a NaN of its own
    chunked(rows, job_id, losses)
    look = partial(rows.session, write=False)
    heir = fork.fork(look, Storage(tmp_path), job_id, {"iteration": n}, UNLIMITED, "req_1")
    with rows.session() as session:
        job = fork.save(session, heir)
    with rows.session(write=False) as session:
        query = select(MetricChunk).where(MetricChunk.job_id == job.id)
        chunks = session.scalars(query.order_by(MetricChunk.first_iteration)).all()
    assert [chunk.first_iteration for chunk in chunks] == list(range(0, n, CHUNK_VALUES))
    copied = b"".join(chunk.values.tobytes() for chunk in chunks)
    assert copied == losses[:n].tobytes()
    if n:
        assert float(job.latest["loss"]) == pytest.approx(float(losses[n - 1]), nan_ok=True)
        assert job.best["loss"] == float(np.nanmin(losses[:n]))
    else:
        assert (job.latest, job.best) == ({}, {})


def test_what_is_not_kept_leaves_no_file(rows: Database, tmp_path: Path) -> None:
    spec = check(TINY, UNLIMITED).spec.model_dump(mode="json")
    job_id = made(rows, state=JobState.CANCELLED, spec=spec)
    storage = Storage(tmp_path)
    with rows.session() as session:
        job = job_repository.get(session, job_id)
        job.iteration = 2
        stored = storage.put("ckpt", b"a state")._asdict()
        owned = {"tenant_id": job.tenant_id, "job_id": job_id}
        session.add(Checkpoint(id=new_id("ckpt"), iteration=2, **owned, **stored))
    heir = fork.retry(partial(rows.session, write=False), storage, job_id, "req_1")
    assert files(tmp_path) == 2
    with rows.session() as session:
        job_repository.delete(session, storage, job_id)
    with (
        pytest.raises(NotFound),
        fork.cleanup_unless_saved(storage, heir),
        rows.session() as session,
    ):
        fork.save(session, heir)
    assert files(tmp_path) == 0


def files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
