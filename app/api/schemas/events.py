"""The log of a job, as documents."""

from typing import Any, Literal

from app.api.schemas.base import Document, Time
from app.tables import Event


class EventDocument(Document):
    """An entry of a job's log; ``sequence``: its number in all that the job tells, ``iteration``:
    how many losses were recorded when it happened."""

    id: str
    object: Literal["event"] = "event"
    job: str
    sequence: int
    type: str
    iteration: int
    data: dict[str, Any]
    created_at: Time


class EventList(Document):
    """A page of a log, the oldest first."""

    data: list[EventDocument]
    has_more: bool
    next: int | None


def event_document(event: Event) -> EventDocument:
    """An entry of a log as clients see it."""
    return EventDocument(
        id=event.id,
        job=event.job_id,
        sequence=event.sequence,
        type=event.type,
        iteration=event.iteration,
        data=event.data,
        created_at=event.created_at,
    )
