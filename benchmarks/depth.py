"""Does a job become dearer when more of them wait?

    python -m benchmarks.depth [sqlite|postgresql]

One worker's child, in this process, trains small jobs of fifty shapes (``benchmarks.growth``) while
as many wait as the line says: whenever some have ended, as many are submitted. Printed, a job: what
it costs to submit (quotas, its place in the queue, the durable row) and to train (claim, data,
iterations, end), in milliseconds, without HTTP. All belong to one tenant, whose queue that is.
"""

import sys
import time

import structlog
from sqlalchemy import func, select

from app.config import get_settings
from app.services.jobs import queue_position, submission
from app.tables import Job, JobState, Tenant
from benchmarks.durability import worker
from benchmarks.growth import specification
from tests.databases import KINDS
from training.tensors import numerics
from training.validation.check import check
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess

WAITING = (1, 10, 100, 1000, 10_000)
MEASURED = 400
"""Jobs a line."""
QUOTAS = get_settings().quotas._replace(queued_jobs=2 * WAITING[-1])
"""They are looked at, and none is in the way."""


class Bench:
    """Submits and trains."""

    def __init__(self, child: WorkerProcess) -> None:
        self.child = child
        self.number = 0
        with child.database.session(write=False) as session:
            self.tenant_id = session.scalars(select(Tenant.id)).one()

    def submit(self, *, looks: bool = True) -> None:
        """One more; ``looks``: as the API does, which tells its place in the queue."""
        plan = check({**specification(self.number), "iterations": 10})
        self.number += 1
        with self.child.database.session(self.tenant_id) as session:
            if looks:
                session.info["quotas"] = QUOTAS
            job = submission.create(session, plan, "req_benchmark")
            if looks:
                queue_position.queue_status(session, [job])

    def waiting(self) -> int:
        """How many do."""
        query = select(func.count()).select_from(Job).where(Job.state == JobState.QUEUED)
        with self.child.database.session(write=False) as session:
            return session.scalar(query) or 0

    def measure(self, depth: int) -> tuple[float, float]:
        """Milliseconds a job: to submit it, and to train it."""
        for _ in range(depth - self.waiting()):
            self.submit(looks=False)
        submitting = training = 0.0
        done = 0
        while done < MEASURED:
            began = time.perf_counter()
            assert train_next(self.child)
            training += time.perf_counter() - began
            gone = depth - self.waiting()
            began = time.perf_counter()
            for _ in range(gone):
                self.submit()
            submitting += time.perf_counter() - began
            done += gone
        return 1000 * submitting / done, 1000 * training / done


def main() -> None:
    """A line for each depth."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    kind = next((word for word in sys.argv[1:] if word in KINDS), "sqlite")
    numerics.configure()
    with worker(kind) as child:
        bench = Bench(child)
        bench.measure(1)  # so that everything is warm
        print(f"{kind}\n{'waiting':>8} {'submit':>8} {'train':>8}  ms a job")
        for depth in WAITING:
            submit, train = bench.measure(depth)
            print(f"{depth:8} {submit:8.2f} {train:8.2f}", flush=True)


if __name__ == "__main__":
    main()
