"""The bells, and what is done when one rings: work until there is none left."""

from collections.abc import Callable

from app.queue import INTERACTIVE, TRAINING
from worker.celery_app import celery
from worker.child import Child, current, drained_on_sigterm
from worker.job import train_next
from worker.replays import answer_next


@celery.task(name=TRAINING)
def train_waiting_jobs() -> None:
    """Claims and trains jobs until none is left."""
    until_none_is_left(train_next)


@celery.task(name=INTERACTIVE)
def answer_waiting_tasks() -> None:
    """Claims and answers questions until none is left."""
    until_none_is_left(answer_next)


def until_none_is_left(work_on_next: Callable[[Child], bool]) -> None:
    """Goes on while there is work, unless this process is to end."""
    child = current()
    with drained_on_sigterm(child):
        while not child.draining.is_set() and work_on_next(child):
            pass
