"""P5, and what it costs that every loss is durable: the engine alone, and the worker's path.

    python -m benchmarks.durability [sqlite|postgresql]

Both train the digits CNN of the tests in this process, in turn. The one lets the engine run; the
other also records every block in a real database, through a writer thread with a commit a block,
keeps the lease, and saves checkpoints as often as the specification says by default. What is
measured is the time from before the first block until all of it is durable; of the engine alone,
until the last block.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from app.config import Settings
from app.database.session import Database
from app.ids import new_id
from app.services.jobs import submission
from app.storage import Storage
from app.tables import Checkpoint, Tenant
from benchmarks.goals import Round, goal, in_turn
from tests.databases import KINDS
from tests.servers import Redis
from tests.service import ring_at
from tests.specifications import DIGITS_CNN
from training.engine.loop import train
from training.spec.plan import Segment
from training.tensors import numerics
from training.tensors.data import Data, load
from training.tensors.numerics import Numerics
from training.validation.check import check
from worker.execution.attempt import Attempt
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_next

ROUNDS = 5
EPOCHS = 300
"""Of a run, which so takes long enough for a default checkpoint or two."""
PLAN = check({**DIGITS_CNN, "epochs": EPOCHS})


class Took(NamedTuple):
    """Seconds by the clock on the wall, and of the processor."""

    wall: float
    processor: float


class Stopwatch:
    """Started when it is made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def stop(self) -> Took:
        """What has passed."""
        return Took(time.perf_counter() - self.wall, time.process_time() - self.processor)


def alone(segments: Sequence[Segment], data: Data, cpu: Numerics) -> Took:
    """The engine, and nobody who listens."""
    watch = Stopwatch()
    for _ in train(segments, data, cpu):
        pass
    return watch.stop()


def recorded(child: WorkerProcess, tenant_id: str) -> Took:
    """A job as a worker trains it, from after its claim to its end."""
    with child.database.session(tenant_id) as session:
        submission.create(session, PLAN, "req_benchmark")
    claim = claim_next(child)
    assert claim is not None
    watch = Stopwatch()
    Attempt(child, claim, time.monotonic()).train()
    return watch.stop()


@goal(
    "P5",
    "a job with every loss durable (SQLite), and its checkpoints",
    against="the engine alone, nothing recorded",
    least=0.97,
)
def durable() -> Iterator[Round]:
    """Rounds of one run of each."""
    sys.setswitchinterval(0.0005)  # as a worker's process has it
    numerics.configure()
    cpu = Numerics.on("cpu")
    segments, data = (Segment(PLAN),), load(PLAN, cpu)
    with worker("sqlite") as child:
        with child.database.session(write=False) as session:
            tenant_id = session.scalars(select(Tenant.id)).one()
        recorded(child, tenant_id)
        yield from in_turn(
            lambda: recorded(child, tenant_id).wall, lambda: alone(segments, data, cpu).wall
        )


def main() -> None:
    """A table a database."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="sqlite|postgresql", default=[*KINDS])
    numerics.configure()
    sys.setswitchinterval(0.0005)  # as a worker's process has it
    print(f"digits CNN, {PLAN.iterations} iterations, {ROUNDS} rounds; {numerics.processor()}")
    for name in parser.parse_args().databases:
        with worker(name) as child:
            measure(name, child)


def measure(name: str, child: WorkerProcess) -> None:
    """Both sides in turn, each first as often as the other; the first round only warms up."""
    cpu = Numerics.on("cpu")
    segments, data = (Segment(PLAN),), load(PLAN, cpu)
    with child.database.session(write=False) as session:
        tenant_id = session.scalars(select(Tenant.id)).one()
    pairs = list[tuple[Took, Took]]()
    for number in range(ROUNDS + 1):
        if number % 2:
            engine = alone(segments, data, cpu)
            pairs.append((engine, recorded(child, tenant_id)))
        else:
            ours = recorded(child, tenant_id)
            pairs.append((alone(segments, data, cpu), ours))
    with child.database.session(write=False) as session:
        saved = len(session.scalars(select(Checkpoint.id)).all()) / len(pairs)
    walls = [ours.wall / engine.wall for engine, ours in pairs[1:]]
    processor = [ours.processor / engine.processor for engine, ours in pairs[1:]]
    seconds = statistics.median(engine.wall for engine, _ in pairs[1:])
    print(f"{name}: {seconds:.2f} s alone, {saved:.1f} checkpoints a job; recording costs")
    print(f"  of the time       {share(walls)}")
    print(f"  of the processor  {share(processor)}")


def share(ratios: list[float]) -> str:
    """Median and quartiles of what comes on top, in percent."""
    low, middle, high = (100 * (r - 1) for r in statistics.quantiles(ratios, n=4))
    return f"{middle:+.1f} %  ({low:+.1f} to {high:+.1f})"


@contextmanager
def worker(name: str) -> Iterator[WorkerProcess]:
    """What a worker's process works with, on a fresh database."""
    with (
        KINDS[name]() as kind,
        kind.migrated() as url,
        tempfile.TemporaryDirectory(prefix="fl-bench-") as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        database, broker = Database(url), Redis()
        ring_at(broker.url, patch)
        settings = Settings(home=Path(home), database_url=url)
        try:
            yield WorkerProcess(new_id("wrk"), settings, database, Storage(settings.storage), "cpu")
        finally:
            database.dispose()
            broker.close()


if __name__ == "__main__":
    main()
