"""What a worker does when the database does not answer: it waits, and then gives back."""

from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from app.database.session import DATABASE_UNAVAILABLE
from worker.process.worker_process import WorkerProcess

log = structlog.get_logger()

RETRY_SECONDS = 2.0
"""Seconds until it is asked again."""


def retry_until_available(child: WorkerProcess, change: Callable[[Session], None]) -> bool:
    """Carries out a transaction as soon as that is possible; false: this process is to end first.

    It may be carried out twice, when only the answer of the first time was lost.
    """
    while not child.draining.wait(RETRY_SECONDS):
        try:
            with child.database.session() as session:
                change(session)
        except DATABASE_UNAVAILABLE as error:
            log.warning("the database is still away", error=type(error).__name__)
        else:
            return True
    return False
