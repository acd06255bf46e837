"""Processes die, bells repeat, workers stop: the numbers are the same."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from sqlalchemy import select

from app.db import Database
from app.queue import TRAINING
from app.tables import Job, ModelVersion, Worker
from tests.servers import Process, eventually
from tests.service import Service
from tests.specifications import ONE_WEIGHT

EPOCH = 20
"""Iterations: ceil(1258 training rows / 64)."""

CNN: dict[str, Any] = {
    "dataset": "digits",
    "split": {"validation": 0.1, "test": 0.2},
    "model": [
        {"type": "conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
        "batch_norm2d",
        "relu",
        {"type": "max_pool2d", "kernel_size": 2},
        {"type": "dropout", "p": 0.25},
        {"type": "linear", "out_features": 10},
    ],
    "loss": "cross_entropy",
    "schedule": "cosine",
    "batch_size": 64,
    "iterations": 240,
    "checkpoint_every_seconds": 0,
}
OPTIMIZERS = [
    {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"type": "adam", "lr": 0.003, "amsgrad": True},
    {"type": "adamw", "lr": 0.003},
]
LONG = CNN | {"optimizer": OPTIMIZERS[1], "iterations": 1200}


class Jobs:
    """Jobs of one service, over HTTP, and what only its database knows."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = Database(service.database_url)

    def post(self, spec: dict[str, Any]) -> str:
        answer = self.service.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def get(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.service.http.get(f"/v1/jobs/{job_id}").json()
        return found

    def reaches(self, job_id: str, iteration: int) -> dict[str, Any]:
        """The running job, once it has come so far."""

        def there() -> dict[str, Any] | None:
            job = self.get(job_id)
            assert job["state"] in ("queued", "running"), job
            return job if job["progress"]["iteration"] >= iteration else None

        return eventually(there, f"iteration {iteration} of {job_id}", within=60) or {}

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, once it has ended well."""

        def there() -> dict[str, Any] | None:
            job = self.get(job_id)
            return job if job["finished_at"] else None

        job = eventually(there, f"the end of {job_id}", within=120) or {}
        assert job["state"] == "succeeded", job["error"]
        return job

    def curves(self, job_id: str) -> dict[str, Any]:
        """Every recorded point."""
        names = "loss,validation_loss,validation_accuracy"
        answer = self.service.http.get(f"/v1/jobs/{job_id}/metrics", params={"series": names})
        series: dict[str, Any] = answer.json()["series"]
        return series

    def model_hash(self, job_id: str) -> str:
        """Of the file with the final weights: equal hashes are equal bits."""
        with self.database.session(write=False) as session:
            query = select(ModelVersion.sha256).where(ModelVersion.job_id == job_id)
            return session.scalars(query).one()

    def attempt_began_at(self, job_id: str) -> int:
        """The iteration from which the last attempt went on."""
        with self.database.session(write=False) as session:
            return session.scalars(
                select(Job.attempt_first_iteration).where(Job.id == job_id)
            ).one()

    def pid_of_worker(self, worker: str) -> int:
        """The process that trains."""
        with self.database.session(write=False) as session:
            return session.scalars(select(Worker.pid).where(Worker.id == worker)).one()

    def assert_same(self, job_id: str, reference: str) -> None:
        """Losses, evaluations, result and weights are equal to the bit, every iteration once."""
        job, undisturbed = self.ended(job_id), self.ended(reference)
        series = self.curves(job_id)
        assert series["loss"]["iteration"] == list(range(job["progress"]["iterations"]))
        assert series == self.curves(reference)
        assert job["result"] == undisturbed["result"]
        assert self.model_hash(job_id) == self.model_hash(reference)

    def close(self) -> None:
        """Ends the connections."""
        self.database.dispose()


@pytest.fixture
def jobs(service: Service) -> Iterator[Jobs]:
    with closing(Jobs(service)) as made:
        yield made


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o["type"])
def test_a_job_whose_child_was_killed_in_mid_epoch_ends_with_the_same_bits(
    jobs: Jobs, optimizer: dict[str, Any]
) -> None:
    spec = CNN | {"optimizer": optimizer}
    reference = jobs.post(spec)
    jobs.ended(reference)
    job_id = jobs.post(spec)
    running = jobs.reaches(job_id, 3 * EPOCH + EPOCH // 2)
    jobs.service.kill(jobs.pid_of_worker(running["worker"]))
    jobs.assert_same(job_id, reference)
    assert jobs.get(job_id)["attempts"] == 2
    assert 0 < jobs.attempt_began_at(job_id) < CNN["iterations"]


def test_the_same_specification_twice_gives_the_same_bits(jobs: Jobs) -> None:
    spec = CNN | {"optimizer": OPTIMIZERS[0], "iterations": 100}
    jobs.assert_same(jobs.post(spec), jobs.post(spec))


def test_a_running_job_is_cancelled_within_a_block(jobs: Jobs) -> None:
    job_id = jobs.post(LONG | {"iterations": 100_000})
    jobs.reaches(job_id, 10)
    answer = jobs.service.http.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    recorded = jobs.curves(job_id)["loss"]["iteration"]
    # Its worker is free for the next job at once, and has added nothing to this one.
    jobs.ended(jobs.post(ONE_WEIGHT))
    assert jobs.curves(job_id)["loss"]["iteration"] == recorded == list(range(len(recorded)))


def test_a_bell_that_rings_a_hundred_times_starts_one_run(jobs: Jobs) -> None:
    job_id = jobs.post(ONE_WEIGHT | {"iterations": 5000})
    broker = jobs.service.redis.client()
    bell = rung(jobs.service)
    for _ in range(100):
        broker.lpush(TRAINING, bell)
    assert jobs.ended(job_id)["attempts"] == 1
    eventually(lambda: broker.llen(TRAINING) == 0, "every bell is heard", within=30)


def rung(service: Service) -> bytes:
    """The message that a bell is, as the service itself sends it."""
    from celery import Celery

    sender = Celery(broker=service.broker_url, set_as_current=False)
    sender.send_task(TRAINING, queue="a-queue-nobody-hears")
    with sender.connection_for_write() as connection:
        client: redis.Redis = connection.default_channel.client
        message = client.rpop("a-queue-nobody-hears")
    assert isinstance(message, bytes)
    return message.replace(b"a-queue-nobody-hears", TRAINING.encode())


def test_a_message_that_nobody_can_read_harms_no_job(jobs: Jobs) -> None:
    broker = jobs.service.redis.client()
    broker.lpush(TRAINING, rung(jobs.service)[:-20])
    jobs.ended(jobs.post(ONE_WEIGHT))


def test_the_celery_parents_hold_neither_torch_nor_the_database(jobs: Jobs) -> None:
    with jobs.database.session(write=False) as session:
        children = session.scalars(select(Worker.pid)).all()
    for parent in {psutil.Process(pid).parent() for pid in children}:
        assert parent is not None
        assert "libtorch" not in Path(f"/proc/{parent.pid}/maps").read_text()
        assert not [f for f in parent.open_files() if f.path.endswith(".db")]


def test_the_job_survives_a_worker_told_to_stop_and_one_killed_outright(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=2)
    with closing(Jobs(service)) as jobs:
        reference = jobs.post(LONG)
        jobs.ended(reference)
        job_id = jobs.post(LONG)

        first = jobs.reaches(job_id, 60)
        told = supervisor_of(jobs, first)
        psutil.Process(told.pid).terminate()
        second = eventually(
            lambda: taken_over(jobs.get(job_id), first), "the other worker goes on", within=60
        )
        killed = supervisor_of(jobs, second or {})
        service.kill(killed.pid)
        killed.wait(within=5)
        service.processes.remove(killed)
        assert service.stop(told) == 0
        eventually(
            lambda: {p.pid for p in service.tree()} == {p.pid for p in service.processes},
            "the children end with their supervisor",
        )
        service.start_worker()
        jobs.assert_same(job_id, reference)
        # The stop used no attempt, the kill did; nobody began anew.
        assert jobs.get(job_id)["attempts"] == 2
        assert jobs.attempt_began_at(job_id) >= 60


def taken_over(job: dict[str, Any], before: dict[str, Any]) -> dict[str, Any] | None:
    """The job, once a worker other than before has it."""
    moved = job["state"] == "running" and job["worker"] != before["worker"]
    return job if moved else None


def supervisor_of(jobs: Jobs, job: dict[str, Any]) -> Process:
    """The worker, of several, whose child has this running job."""
    ancestors = {p.pid for p in psutil.Process(jobs.pid_of_worker(job["worker"])).parents()}
    (found,) = [process for process in jobs.service.processes if process.pid in ancestors]
    return found
