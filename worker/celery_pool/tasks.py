"""The bells, and what is done when one rings: work until there is none left."""

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import select

from app.broker import INTERACTIVE, TRAINING, notify_if_idle
from app.database.session import DATABASE_UNAVAILABLE
from app.tables import Job, Task
from worker.celery_pool.app import celery
from worker.execution.run_jobs import train_next
from worker.process.worker_process import WorkerProcess, current, drained_on_sigterm
from worker.replay.answer_tasks import answer_next


@celery.task(name=TRAINING)
def train_waiting_jobs() -> None:
    """Claims and trains jobs until none is left."""
    until_none_is_left(Job, TRAINING, train_next)


@celery.task(name=INTERACTIVE)
def answer_waiting_tasks() -> None:
    """Claims and answers questions until none is left."""
    until_none_is_left(Task, INTERACTIVE, answer_next)


def until_none_is_left(
    table: type[Job] | type[Task], bell: str, work_on_next: Callable[[WorkerProcess], bool]
) -> None:
    """Goes on while there is work, unless this process is to end. A bell wakes one process, and for
    a whole batch only one is rung: where several rows wait the next is woken first."""
    child = current()
    with drained_on_sigterm(child):
        if several_wait(child, table):
            notify_if_idle(bell)
        while not child.draining.is_set() and work_on_next(child):
            pass


def several_wait(child: WorkerProcess, table: type[Job] | type[Task]) -> bool:
    """Whether there is more than one process can take; no, when the database does not answer."""
    with suppress(*DATABASE_UNAVAILABLE), child.database.session(write=False) as session:
        queued = select(table.id).where(table.state == "queued").limit(2)
        return len(session.scalars(queued).all()) > 1
    return False
