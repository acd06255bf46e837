"""Processes die, bells repeat, workers stop: the numbers are the same."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psutil
import pytest

from app.broker import TRAINING
from tests.servers import Process, eventually
from tests.service import Service, bell
from tests.specifications import ONE_WEIGHT
from tests.worker.watch import CNN, EPOCH, LONG, OPTIMIZERS, Jobs


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
    ring = bell(jobs.service)
    for _ in range(100):
        broker.lpush(TRAINING, ring)
    assert jobs.ended(job_id)["attempts"] == 1
    eventually(lambda: broker.llen(TRAINING) == 0, "every bell is heard", within=30)


def test_a_message_that_nobody_can_read_harms_no_job(jobs: Jobs) -> None:
    broker = jobs.service.redis.client()
    broker.lpush(TRAINING, bell(jobs.service)[:-20])
    jobs.ended(jobs.post(ONE_WEIGHT))


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
