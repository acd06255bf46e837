"""The bells, and what is done when one rings: work until there is none left."""

from app.queue import INTERACTIVE, TRAINING
from worker.celery_app import celery


@celery.task(name=TRAINING)
def train_waiting_jobs() -> None:
    """Claims and trains jobs until none is left."""
    from worker.child import current
    from worker.job import train_next

    child = current()
    while not child.draining.is_set() and train_next(child):
        pass


@celery.task(name=INTERACTIVE)
def answer_waiting_tasks() -> None:
    """Claims and answers questions until none is left."""
    from worker.child import current
    from worker.replays import answer_next

    child = current()
    while not child.draining.is_set() and answer_next(child):
        pass
