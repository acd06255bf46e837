"""Processes die, bells repeat, workers stop: the numbers are the same."""

import signal
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
    "iterations": 400,
    "checkpoint_every_seconds": 0.1,
}
OPTIMIZERS = [
    {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"type": "adam", "lr": 0.003, "amsgrad": True},
    {"type": "adamw", "lr": 0.003},
]
LONG = CNN | {"optimizer": OPTIMIZERS[1], "iterations": 1500}


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
    running = jobs.reaches(job_id, 5 * EPOCH + EPOCH // 2)
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


def test_garbage_in_the_broker_harms_nobody(jobs: Jobs) -> None:
    broker = jobs.service.redis.client()
    for garbage in (b"", b"\x00\xff", b"{}", b'{"body": 1}', b"[]", rung(jobs.service)[:-20]):
        broker.lpush(TRAINING, garbage)
    jobs.ended(jobs.post(ONE_WEIGHT))


def test_the_celery_parents_hold_neither_torch_nor_the_database(jobs: Jobs) -> None:
    with jobs.database.session(write=False) as session:
        children = session.scalars(select(Worker.pid)).all()
    for parent in {psutil.Process(pid).parent() for pid in children}:
        assert parent is not None
        assert "libtorch" not in Path(f"/proc/{parent.pid}/maps").read_text()
        assert not [f for f in parent.open_files() if f.path.endswith(".db")]


def worker_of(service: Service) -> Process:
    (worker,) = [process for process in service.processes if process.name == "worker"]
    return worker


def test_a_worker_told_to_stop_gives_its_job_back_and_another_goes_on(
    own_service: Callable[..., Service],
) -> None:
    service = own_service()
    with closing(Jobs(service)) as jobs:
        reference = jobs.post(LONG)
        jobs.ended(reference)
        job_id = jobs.post(LONG)
        jobs.reaches(job_id, 200)
        assert service.stop(worker_of(service)) == 0
        job = jobs.get(job_id)
        assert (job["state"], job["attempts"]) == ("queued", 0)
        assert job["progress"]["iteration"] >= 200
        service.start_worker()
        jobs.assert_same(job_id, reference)
        # Nothing was computed twice: it went on from where it had stood.
        assert jobs.attempt_began_at(job_id) == job["progress"]["iteration"]


def test_a_worker_killed_outright_leaves_no_process_and_another_takes_over(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(lease_seconds=2, heartbeat_seconds=0.5, sweep_seconds=0.5)
    with closing(Jobs(service)) as jobs:
        reference = jobs.post(LONG)
        jobs.ended(reference)
        job_id = jobs.post(LONG)
        jobs.reaches(job_id, 200)
        worker = worker_of(service)
        service.kill(worker.pid)
        worker.wait(within=5)
        service.processes.remove(worker)
        eventually(
            lambda: {p.pid for p in service.tree()} == {p.pid for p in service.processes},
            "the children end with their supervisor",
        )
        service.start_worker()
        jobs.assert_same(job_id, reference)
        assert jobs.get(job_id)["attempts"] == 2


def test_a_frozen_worker_that_wakes_after_its_lease_writes_nothing(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(
        workers=2, lease_seconds=2, heartbeat_seconds=0.5, sweep_seconds=0.5, stall_seconds=60
    )
    with closing(Jobs(service)) as jobs:
        reference = jobs.post(LONG)
        jobs.ended(reference)
        job_id = jobs.post(LONG)
        frozen = psutil.Process(jobs.pid_of_worker(jobs.reaches(job_id, 200)["worker"]))
        # The whole worker: its own supervisor would otherwise notice the hung child and kill it.
        (supervisor,) = [p for p in frozen.parents() if "worker" in p.cmdline()[-1:]]
        asleep = [*supervisor.children(recursive=True), supervisor]
        for process in asleep:
            process.send_signal(signal.SIGSTOP)
        first = jobs.get(job_id)["worker"]
        eventually(lambda: jobs.get(job_id)["worker"] != first, "another takes over", within=60)
        for process in asleep:
            process.send_signal(signal.SIGCONT)
        jobs.assert_same(job_id, reference)
        eventually(lambda: "is not valid any more" in logs(service), "the zombie was refused")


def logs(service: Service) -> str:
    """What the workers have said."""
    return "".join(path.read_text() for path in service.home.glob("worker*.log"))
