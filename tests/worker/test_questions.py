"""Questions that take long."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import Thread

from sqlalchemy import select

from app.ids import new_id
from app.tables import Job, Task
from tests.servers import eventually
from tests.specifications import ONE_WEIGHT
from tests.worker.conftest import MakeJob
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess
from worker.replay.answer_tasks import answer_next


def renewed(task: Task, lease: datetime | None) -> bool:
    return task.finished_at is None and task.lease_expires_at != lease


def test_a_question_is_held_as_long_as_its_answer_takes(
    child: WorkerProcess, make_job: MakeJob, job_row: Callable[[str], Job]
) -> None:
    patient = child.settings.model_copy(update={"heartbeat_seconds": 0.05, "stall_seconds": 30.0})
    here = replace(child, settings=patient)
    spec = check({**ONE_WEIGHT, "iterations": 10_000}).spec.model_dump(mode="json")
    job_id, task_id = make_job(spec=spec, iterations=10_000), new_id("task")
    assert train_next(here)
    with here.database.session() as session:
        asked = {"kind": "verification"}
        tenant = job_row(job_id).tenant_id
        names = {"id": task_id, "tenant_id": tenant, "job_id": job_id, "request_id": "req_test"}
        session.add(Task(**names, arguments=asked))

    def task() -> Task:
        with here.database.session(write=False) as session:
            return session.scalars(select(Task).where(Task.id == task_id)).one()

    answering = Thread(target=answer_next, args=[here])
    answering.start()
    first = eventually(lambda: task().lease_expires_at, "the question is taken")
    eventually(lambda: renewed(task(), first), "its lease is renewed before it is answered")
    answering.join()
    assert task().result == {
        "verified": True,
        "values": {"loss": 10_000},
        "first_difference": None,
        "model": True,
        "same_fingerprint": True,
    }
