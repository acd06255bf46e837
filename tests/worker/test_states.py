"""A job's life: whatever happens to it, in whatever order, it is what the model says."""

from tests.faults.lives import live
from tests.servers import Redis
from worker.process.worker_process import WorkerProcess


def test_whatever_happens_a_job_is_what_the_model_says(child: WorkerProcess, broker: Redis) -> None:
    live(child, sequences=100)
