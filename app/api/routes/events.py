"""The log of a job, and all that it tells as a stream."""

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response

from app.api.live.event_stream import JobEventStream
from app.api.live.long_poll import teller_of
from app.api.requests.content_negotiation import JSON, wanted
from app.api.requests.dependencies import CanRead, DatabaseDep, Limit
from app.api.responses.openapi import refusals
from app.api.schemas.events import EventList, event_document
from app.database.session import Database
from app.errors import Invalid
from app.services.jobs import event_batches, job_repository
from app.services.jobs.event_batches import Cursor
from app.services.tenancy.keys import Principal
from training.spec.mistakes import Mistake

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["progress"])

STREAM = "text/event-stream"
MAX_EVENT_ID = 2**63 - 1
EXAMPLE = """\
id: 1
event: state
data: {"id": "evt_…", "type": "state", "data": {"state": "queued", "reason": null}, …}

id: 102
event: metrics
data: {"job": "job_…", "iteration": 100, "series": {"loss": {"iteration": [0, …], "value": […]}}}

event: end
data: {"id": "job_…", "state": "succeeded", …}
"""
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventList,
        "content": {STREAM: {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
    **refusals(406),
}

Number = Annotated[
    int | None, Query(ge=0, le=MAX_EVENT_ID, description="What the client knows already.")
]
LastSeen = Annotated[int | None, Header(ge=0, le=MAX_EVENT_ID, alias="Last-Event-ID")]


@router.get("/events", operation_id="list_events", responses=ANSWERS)
async def index(
    job_id: str,
    request: Request,
    database: DatabaseDep,
    principal: CanRead,
    after: Number = None,
    limit: Limit | None = None,
    last_event_id: Number = None,
    last_seen: LastSeen = None,
) -> Response:
    """The entries of a job's log past the number ``after``, the oldest first.

    With ``Accept: text/event-stream``, all that the job tells, as it happens: ``metrics`` frames
    with the new points of every series, an event for each entry of the log, in the end ``end`` with
    the job. Losses and entries are numbered together; the ``id`` of a frame says how much was told
    with it, and ``Last-Event-ID`` (or ``last_event_id``) goes on from there, at any process,
    without a gap and without a repetition.
    """
    if wanted(request, (JSON, STREAM)) == STREAM:
        if limit is not None:
            sentence = f"must not be given for {STREAM} (query parameter)"
            mistake = Mistake("/limit", "contradiction", sentence)
            raise Invalid("the request contradicts itself", [mistake])
        known = {"Last-Event-ID": last_seen, "last_event_id": last_event_id, "after": after}
        given = ((name, number) for name, number in known.items() if number is not None)
        name, number = next(given, ("after", 0))
        place = await to_thread.run_sync(placed, database, principal, job_id, number, f"/{name}")
        return JobEventStream(teller_of(request), job_id, principal.key_id, place)
    page = await to_thread.run_sync(listed, database, principal, job_id, after or 0, limit or 20)
    return Response(page.model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})


def placed(
    database: Database, principal: Principal, job_id: str, number: int, pointer: str
) -> Cursor:
    """Where a client stands in the story of a job that is theirs."""
    with database.session(principal.tenant_id, write=False) as session:
        return event_batches.cursor_at(
            session, job_repository.get(session, job_id), number, pointer
        )


def listed(
    database: Database, principal: Principal, job_id: str, after: int, limit: int
) -> EventList:
    """A page of the log."""
    with database.session(principal.tenant_id, write=False) as session:
        rows = event_batches.log(session, job_repository.get(session, job_id).id, after, limit + 1)
        more = len(rows) > limit
        return EventList(
            data=[event_document(row) for row in rows[:limit]],
            has_more=more,
            next=rows[limit - 1].sequence if more else None,
        )
