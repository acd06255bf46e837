"""A job's life against its model (``tests.worker.life``), in as many sequences as are asked for.

    python -m tests.faults.lives --sequences 10000 --seed 3

On an SQLite database whose files lie in memory, where there is such a place.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
import torch
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from app.config import Settings
from app.database.session import Database
from app.ids import new_id
from app.storage import Storage
from tests.databases import KINDS
from tests.servers import Redis
from tests.service import ring_at
from tests.worker.told import ToldLife
from worker.process.worker_process import WorkerProcess

STEPS = 20
"""Of a sequence."""


def live(child: WorkerProcess, sequences: int, first_seed: int | None = None) -> None:
    """So many sequences; without a seed always the same ones."""

    class Here(ToldLife):
        def __init__(self) -> None:
            super().__init__(child)

    how = settings(
        max_examples=sequences,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize=first_seed is None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(Here if first_seed is None else seed(first_seed)(Here), settings=how)


@contextmanager
def in_memory() -> Iterator[WorkerProcess]:
    """A worker and its database."""
    memory = Path("/dev/shm")  # noqa: S108 -- folders in it are made by tempfile
    if memory.is_dir():
        tempfile.tempdir = str(memory)
    with (
        KINDS["sqlite"]() as kind,
        kind.migrated() as url,
        tempfile.TemporaryDirectory(prefix="fl-life-") as home,
        pytest.MonkeyPatch.context() as patch,
    ):
        broker, database = Redis(), Database(url)
        ring_at(broker.url, patch)
        set_ = Settings(home=Path(home), database_url=url, max_running_jobs=100)
        try:
            yield WorkerProcess(new_id("wrk"), set_, database, Storage(set_.storage), "cpu")
        finally:
            database.dispose()
            broker.close()


def main() -> None:
    """As many sequences as are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.lives", description=__doc__)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    with in_memory() as child:
        live(child, asked.sequences, asked.seed)


if __name__ == "__main__":
    main()
