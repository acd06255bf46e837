"""Jobs that one process trains side by side: each is claimed, recorded and ended by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import func, select

from app.db import Database
from app.services import metrics
from app.services.metrics import Selection
from app.tables import Event, Job, JobState, ModelVersion
from tests.specifications import Specification
from tests.training.engine import ready, regression, trained
from tests.worker.conftest import MakeJob
from training import company as who
from training.check import check
from training.fused import Fused
from worker.child import Child
from worker.job import train_next

Make = Callable[..., str]
JobRow = Callable[[str], Job]


def specification(seed: int, **sections: Any) -> Specification:
    """A member of the company; they differ in seed, rate and length."""
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
        fused = who.apart(plan, "cpu") is None
        return make_job(
            spec=plan.spec.model_dump(mode="json"),
            iterations=plan.iterations,
            series=["loss", *plan.validation_series],
            company=who.company(plan) if fused else None,
            **columns,
        )

    return make


def losses(rows: Database, job: Job) -> NDArray[np.float32]:
    """What was recorded."""
    with rows.session(write=False) as session:
        return metrics.read(session, job, ["loss"], Selection(), 10**6).series["loss"].values


def events(rows: Database, job_id: str) -> list[str]:
    """What the job's log tells about its state."""
    with rows.session(write=False) as session:
        query = select(Event.data).where(Event.job_id == job_id, Event.type == "state")
        return [data["state"] for data in session.scalars(query.order_by(Event.sequence))]


def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs each group that is made has."""
    seen, begin = list[int](), Fused.__init__

    def begun(self: Fused, jobs: Any) -> None:
        seen.append(len(jobs))
        begin(self, jobs)

    monkeypatch.setattr(Fused, "__init__", begun)
    return seen


def test_a_group_leaves_what_each_would_have_left_alone(
    child: Child, rows: Database, post: Make, job_row: JobRow, monkeypatch: pytest.MonkeyPatch
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
    assert not train_next(child)
