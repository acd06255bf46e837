"""Recorded series of a job."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from app.api.deps import Reading
from app.api.schemas import MetricsDocument
from app.numbers import speakable
from app.services import jobs, metrics
from app.tables import TERMINAL

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["progress"])

Limit = Annotated[int, Query(ge=1, le=100_000)]
After = Annotated[int | None, Query(ge=-1, le=2**31 - 1)]


@router.get("/metrics", operation_id="get_metrics", responses={200: {"model": MetricsDocument}})
def show(
    job_id: str, session: Reading, series: str = "loss", after: After = None, limit: Limit = 100_000
) -> Response:
    """Every recorded point after iteration ``after``; ``series`` is a list with commas."""
    job = jobs.get(session, job_id)
    curves = metrics.read(session, job, series.split(","), after, limit)
    document = {
        "job": job.id,
        "series": {
            # float32 widened to float64: the number in the JSON is the stored one, exactly.
            name: {
                "iteration": points.iterations.tolist(),
                "value": speakable(points.values.astype(float).tolist()),
            }
            for name, points in curves.series.items()
        },
        "last": curves.last,
        "state": job.state,
        "complete": job.state in TERMINAL and curves.next_after is None,
        "next_after": curves.next_after,
    }
    return Response(orjson.dumps(document), media_type="application/json")
