"""Processes that stand still, at a moment that matters: in the middle of a transaction."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.tables import Job
from tests.faults.world import World
from worker.supervision.sqlite_lock import holder_of


def freeze(pids: list[int]) -> None:
    """Nothing of them runs any more."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def thaw(pids: list[int]) -> None:
    """Those that were not killed meanwhile go on."""
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def still(pids: list[int]) -> Iterator[None]:
    """They stand still for a while."""
    freeze(pids)
    try:
        yield
    finally:
        thaw(pids)


def freeze_inside(world: World, job_id: str, pid: int, within: float = 20) -> None:
    """Stops a process while it is in a transaction about a job."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        freeze([pid])
        if inside(world, job_id, pid):
            time.sleep(0.1)
            if inside(world, job_id, pid):  # not somebody else's, which has ended
                return
        thaw([pid])
        time.sleep(0.002)
    raise AssertionError(f"{pid} was never stopped within a transaction")


def inside(world: World, job_id: str, pid: int) -> bool:
    """Whether a stopped process keeps others out."""
    if world.database.file is not None:
        return holder_of(world.database.file) == pid
    try:
        with world.database.session() as session:
            session.scalar(select(Job.id).where(Job.id == job_id).with_for_update(nowait=True))
    except OperationalError:
        return True
    return False
