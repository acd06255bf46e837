"""A prefork child: opens its own database and its device and gets warm before it takes work.

Nothing here runs in the Celery parent, which has only imported (``worker.celery_pool.preload``): a
SQLite connection opened before a fork leaves the child with a locked database, and neither torch's
threads nor its hold of a GPU survive one.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import structlog
from celery.signals import worker_process_init

from app.config import Settings, get_settings
from app.database.session import Database
from app.ids import new_id
from app.storage import Storage
from app.tables import Worker
from worker.process.dataset_cache import DatasetCache
from worker.process.os_process import die_with_parent, place

log = structlog.get_logger()

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class WorkerProcess:
    """What one worker process works with.

    ``draining``: finish the block, then stop. ``shelf``: data of its last jobs.
    """

    id: str
    settings: Settings
    database: Database
    storage: Storage
    device: Device
    draining: threading.Event = field(default_factory=threading.Event)
    shelf: DatasetCache = field(default_factory=DatasetCache)


_current: WorkerProcess | None = None


def current() -> WorkerProcess:
    """This process, as a worker."""
    assert _current is not None, "only children of the pool do work"
    return _current


@worker_process_init.connect
def start(**_: Any) -> None:
    """Makes this process a worker, and says so in the database once it is warm."""
    global _current
    settings = get_settings()
    die_with_parent()
    # The writer thread must not wait 5 ms (the default) for the training thread at every step.
    sys.setswitchinterval(0.0005)
    pool = os.environ["FALLLINE_POOL"]
    device = warm_up(trace=pool == "training")
    database = Database(settings.database_url)
    storage = Storage(settings.storage)
    _current = WorkerProcess(new_id("wrk"), settings, database, storage, device)
    with database.session() as session:
        session.add(
            Worker(
                id=_current.id,
                supervisor=os.environ["FALLLINE_SUPERVISOR"],
                place=place(),
                pid=os.getpid(),
                pool=pool,
                device=device,
            )
        )
    log.info("worker ready", worker=_current.id, pool=pool, device=device)


@contextmanager
def drained_on_sigterm(child: WorkerProcess) -> Iterator[None]:
    """While there is work, SIGTERM asks for a clean end; a child without work just ends.

    Set around the work, for the pool installs its own handler after ``worker_process_init``.
    """

    def drain(number: int, frame: FrameType | None) -> None:
        child.draining.set()  # nothing else: a handler may run inside a COMMIT

    before = signal.signal(signal.SIGTERM, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def warm_up(*, trace: bool) -> Device:
    """Runs what every job will need, once, so that the first job starts at once.

    A replay seldom needs a trace. Returns the device.
    """
    from training.engine.job import TrainingJob
    from training.engine.loop import group_of
    from training.tensors.data import load
    from training.tensors.numerics import Numerics, configure
    from training.validation.check import check

    configure()
    numerics = Numerics.on("auto")
    plan = check(
        {
            "dataset": "iris",
            "model": [{"type": "linear", "out_features": 3}],
            "loss": "cross_entropy",
            "optimizer": "adam",
            "iterations": 2,
        }
    )
    job = TrainingJob(plan, load(plan, numerics), numerics)
    group = group_of([job])
    if trace:
        group.trace([job.beginning()])
    group.blocks([job.beginning()], 0)
    return "cuda" if numerics.device.type == "cuda" else "cpu"
