"""Recorded series of a job."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api.requests.content_negotiation import JSON, wanted
from app.api.requests.dependencies import DatabaseDep, ReadSession
from app.api.responses.metrics_export import ARROW, CSV, Source, as_arrow, as_csv
from app.api.responses.openapi import refusals
from app.api.schemas.metrics import MetricsDocument, points_document
from app.errors import Invalid
from app.services.jobs import job_repository
from app.services.metrics import reader
from app.services.metrics.points import Points
from app.services.metrics.reader import Selection
from app.tables import TERMINAL, Job
from training.spec.mistakes import Mistake

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["progress"])

MAX_POINT_COUNT = 100_000
MAX_ITERATION = 2**31 - 1

Series = Annotated[str, Query(description="Names of series, with commas between them")]
After = Annotated[
    int | None, Query(ge=-1, le=MAX_ITERATION, description="Only what comes after it")
]
Before = Annotated[
    int | None, Query(ge=0, le=MAX_ITERATION, description="Only what comes before it")
]
Many = Annotated[int | None, Query(ge=1, le=20_000, description="At most so many points a series")]
Weight = Annotated[float | None, Query(ge=0, le=1, description="Of the running average")]
Limit = Annotated[
    int | None, Query(ge=1, le=MAX_POINT_COUNT, description="Points a page, of each series")
]

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": MetricsDocument,
        "content": {
            CSV: {"schema": {"type": "string"}, "example": "iteration,loss\r\n0,2.5\r\n"},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **refusals(406),
}


class Asked(NamedTuple):
    """Which points, and in which form."""

    names: list[str]
    selection: Selection
    points: int | None
    limit: int
    form: str


def asked(
    request: Request,
    series: Series = "loss",
    after: After = None,
    before: Before = None,
    points: Many = None,
    smooth: Weight = None,
    limit: Limit = None,
) -> Asked:
    """The query; raises ``Invalid`` where one part contradicts another."""
    form = wanted(request, (JSON, CSV, ARROW))
    found = []
    if before is not None and after is not None and before <= after:
        found.append(contradiction("/before", "must be greater than `after`"))
    if points is not None and limit is not None:
        found.append(contradiction("/limit", "must not be given with `points`"))
    given = {"points": points, "smooth": smooth, "limit": limit}
    if form != JSON:
        sentence = f"must not be given for {form}, which holds every point as it was recorded"
        found += [
            contradiction(f"/{name}", sentence)
            for name, value in given.items()
            if value is not None
        ]
    if found:
        raise Invalid("the request contradicts itself", found)
    selection = Selection(after, before, smooth)
    return Asked(series.split(","), selection, points, limit or MAX_POINT_COUNT, form)


def contradiction(pointer: str, sentence: str) -> Mistake:
    """Two parameters that do not go together."""
    return Mistake(pointer, "contradiction", f"{sentence} (query parameter)")


@router.get("/metrics", operation_id="get_metrics", responses=ANSWERS)
def show(
    job_id: str,
    session: ReadSession,
    database: DatabaseDep,
    asked: Annotated[Asked, Depends(asked)],
) -> Response:
    """Every recorded point of the series; with ``points``, those that an eye would miss.

    Then each series is cut into buckets of equal width that keep their minimum, their maximum, a
    NaN and the infinities, and the first and last point are there: never more than ``points``, or
    seven where that is less. ``smooth`` puts in the place of each value the debiased exponential
    moving average up to it, computed over every iteration; what is not finite stays. As CSV or
    Arrow, all of it comes in one file.
    """
    job = job_repository.get(session, job_id)
    if asked.form != JSON:
        names = reader.known_names(job, asked.names)
        # To where the job is now: a file of a job that trains has an end too.
        ends = [
            job.iteration + 1,
            MAX_ITERATION if asked.selection.before is None else asked.selection.before,
        ]
        selection = asked.selection._replace(before=min(ends))
        return file(Source(database, job.tenant_id, job.id, names, selection), asked.form)
    if asked.points is not None:
        view = reader.overview(session, job, asked.names, asked.selection, asked.points)
        left_out = any(len(p.iterations) < view.counts[name] for name, p in view.series.items())
        return answer(job, asked, view.series, None, sampled=left_out, count=view.counts)
    curves = reader.read(session, job, asked.names, asked.selection, asked.limit)
    return answer(job, asked, curves.series, curves.next_after)


def answer(
    job: Job, asked: Asked, series: dict[str, Points], next_after: int | None, **more: Any
) -> Response:
    """The points as a document."""
    before = asked.selection.before
    to_the_end = next_after is None and (before is None or before > job.iteration)
    document = {
        "job": job.id,
        "series": {name: points_document(points) for name, points in series.items()},
        "last": {n: int(p.iterations[-1]) for n, p in series.items() if len(p.iterations)},
        "state": job.state,
        "complete": job.state in TERMINAL and to_the_end,
        "next_after": next_after,
        **more,
    }
    return Response(orjson.dumps(document), media_type=JSON, headers={"Vary": "Accept"})


def file(source: Source, form: str) -> Response:
    """All points in one file."""
    content: Iterator[str | bytes] = as_csv(source) if form == CSV else as_arrow(source)
    name = f"{source.job_id}.{'csv' if form == CSV else 'arrow'}"
    headers = {"Vary": "Accept", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=form, headers=headers)
