"""Metric points into the database: the worker's own sink against MLflow's ``log_batch``.

Both sides commit every thousand points, which is the most that MLflow takes at once, into a SQLite
file in WAL mode with ``synchronous=FULL``, from one process with no server between. Ours does all
that a worker does with a block: a writer thread, a transaction that begins with the fence and goes
on only if it holds, progress, best and latest values, the counters, and the levels by which curves
are seen. Theirs is made ready before its clock starts: its points are objects already. A round
writes more points on our side, or its clock would show nothing; both are told as seconds for a
million points. That all points are there is checked after each round, and after the last that a
worker whose fence was raised can write none.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import select, update

from app.database.session import Database
from app.services.jobs import submission
from app.tables import Job, MetricChunk, Tenant
from benchmarks.durability import worker
from benchmarks.goals import Round, goal, in_turn, peer
from tests.databases import KINDS
from training.engine.blocks import Block
from training.engine.loop import Loop
from training.validation.check import check
from worker.execution.group_writer import Entry, GroupWriter
from worker.execution.member import Member
from worker.process.worker_process import WorkerProcess
from worker.queue.claim import claim_next
from worker.queue.fence import LeaseLost

BATCH = 1000
OURS, THEIRS = 300, 5
"""Batches a round."""
MILLION = 1_000_000
PLAN = check(
    {
        "dataset": {"x": [[1.0], [2.0]], "y": [[2.0], [4.0]]},
        "model": [{"type": "linear", "out_features": 1}],
        "loss": "mse_loss",
        "optimizer": {"type": "sgd", "lr": 1e-6},
        "iterations": 50_000_000,
    }
)


class Writer:
    """A worker in the middle of a job that never ends."""

    def __init__(self, child: WorkerProcess) -> None:
        self.child = child
        with child.database.session(write=False) as session:
            tenant_id = session.scalars(select(Tenant.id)).one()
        with child.database.session(tenant_id) as session:
            submission.create(session, PLAN, "req_benchmark")
        claim = claim_next(child)
        assert claim is not None
        self.member = Member(child, claim.job, time.monotonic())
        self.member.resume(None)
        (self.block,) = Loop().blocks([self.member.progress])
        self.done = 0

    def write(self, batches: int = OURS, size: int = BATCH) -> float:
        """Seconds for a million points."""
        blocks = [self.next_block(size) for _ in range(batches)]
        began = time.perf_counter()
        with GroupWriter(self.child) as writer:
            for block in blocks:
                writer.put([Entry(self.member, block)])
                self.member.heartbeat.progress()
        seconds = time.perf_counter() - began
        if self.member.failure is not None:
            raise self.member.failure
        assert points(self.child.database, self.member.job.id) == self.done
        return seconds * MILLION / (batches * size)

    def next_block(self, size: int) -> Block:
        """As the engine would yield it."""
        first, self.done = self.done, self.done + size
        losses = (1 / (1 + np.arange(first, self.done))).astype(np.float32)
        state = replace(self.block.checkpoint, iteration=self.done)
        return replace(self.block, first=first, losses=losses, checkpoint=state)

    def is_refused(self) -> None:
        """Writes under a fence that was raised meanwhile, in vain."""
        known = self.done
        with self.child.database.session() as session:
            session.execute(update(Job).values(fence=Job.fence + 1))
        try:
            self.write(1)
        except LeaseLost:
            assert points(self.child.database, self.member.job.id) == known
        else:
            raise AssertionError("a stale worker has written")


def points(database: Database, job_id: str) -> int:
    """How many are there, and each once."""
    with database.session(write=False) as session:
        query = select(MetricChunk.first_iteration, MetricChunk.values)
        rows = session.execute(query.where(MetricChunk.job_id == job_id)).all()
    at = [n for first, values in rows for n in (first, first + len(values))]
    assert sorted(at)[1:-1:2] == sorted(at)[2::2], "a gap, or a point twice"
    return max(at, default=0)


class Mlflow:
    """The other side, in a process and an environment of its own."""

    def __init__(self, python: Path, folder: Path) -> None:
        script = Path(__file__).parent / "peers" / "log_points.py"
        self.batches = 0
        self.process = subprocess.Popen(
            [str(python), str(script), str(folder / "mlflow.db")],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def said(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "MLflow has ended"
        return line.strip()

    def ask(self, line: str) -> str:
        """Its answer to a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.said()

    def write(self) -> float:
        """Seconds for a million points."""
        self.batches += THEIRS
        return float(self.ask(str(THEIRS))) * MILLION / (THEIRS * BATCH)

    def has_all(self) -> None:
        """What was logged is there."""
        found, total = self.ask("").split()
        assert int(found) == self.batches * BATCH
        assert np.isclose(float(total), (1 / (1 + np.arange(self.batches * BATCH))).sum())


@contextmanager
def mlflow() -> Iterator[Mlflow]:
    """It, ready to log."""
    python = peer("mlflow")
    with tempfile.TemporaryDirectory(prefix="fl-mlflow-") as folder:
        it = Mlflow(python, Path(folder))
        try:
            while it.said() != "ready":
                pass
            yield it
        finally:
            it.process.kill()
            it.process.wait()


@goal(
    "P6",
    "a million metric points into SQLite, a commit each thousand, the fence proved",
    against="MLflow log_batch of 1 000 into SQLite",
    least=50.0,
)
def written() -> Iterator[Round]:
    """Both into files on the same disk; ours into PostgreSQL beside it."""
    with ExitStack() as stack:
        theirs = stack.enter_context(mlflow())
        ours, other = (Writer(stack.enter_context(worker(kind))) for kind in KINDS)
        for writer in (ours, other):
            stack.enter_context(writer.member.heartbeat)
        for side in (ours.write, theirs.write, other.write):
            side()
        stack.callback(ours.is_refused)
        stack.callback(other.is_refused)
        stack.callback(theirs.has_all)
        for one in in_turn(ours.write, theirs.write):
            figures = {
                "points/s": MILLION / one.ours,
                "points/s of MLflow": MILLION / one.theirs,
                "points/s, 10 000 a commit": MILLION / ours.write(OURS // 10, 10 * BATCH),
                "points/s into PostgreSQL": MILLION / other.write(),
            }
            yield replace(one, figures=figures)
