"""Predictions, and the held-back examples to try them on.

The routes say what ``app.api.prediction.fast_path`` answers nearly always in their place.
"""

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response

from app.api.prediction.fast_path import Routes
from app.api.prediction.service import PredictionRequest, PredictionService
from app.api.requests.content_negotiation import JSON
from app.api.requests.dependencies import CanPredict, CanRead, DatabaseDep, StorageDep
from app.api.requests.idempotency import Router
from app.api.requests.json_body import described, must_be_json
from app.api.responses.openapi import refusals
from app.api.schemas.base import Document
from app.inference.examples import examples as examples_of
from app.services.datasets import dataset_repository
from app.services.jobs import job_repository
from app.services.models import Which
from app.services.tenancy.keys import Principal
from training.validation.check import UNLIMITED, check

router = Router(prefix="/v1", tags=["predictions"])

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
ASKED = described(PredictionRequest, iris={"inputs": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]})


class Predictions(Document):
    """One prediction an input, in order."""

    model: str
    version: int
    predictions: list[dict[str, Any]]


class Examples(Document):
    """Raw rows of one split with their true targets."""

    split: str
    data: list[dict[str, Any]]


@router.post(
    "/models/{name}/predict",
    operation_id="predict_newest",
    openapi_extra=ASKED,
    response_model=Predictions,
)
async def newest(name: str, request: Request, principal: CanPredict) -> Response:
    """The newest version of a model."""
    return await answered(request, principal, Which(name))


@router.post(
    "/models/{name}/versions/{version}/predict",
    operation_id="predict_version",
    openapi_extra=ASKED,
    response_model=Predictions,
)
async def of_version(
    name: str, version: Version, request: Request, principal: CanPredict
) -> Response:
    """One version of a model."""
    return await answered(request, principal, Which(name, version))


@router.post(
    "/jobs/{job_id}/predict",
    operation_id="predict_by_job",
    openapi_extra=ASKED,
    response_model=Predictions,
)
async def of_job(job_id: str, request: Request, principal: CanPredict) -> Response:
    """The model that a job left."""
    return await answered(request, principal, Which(job_id=job_id))


ROUTES = Routes(*(route for route in router.routes))
"""Those of predictions, for what answers in their place."""


@router.get("/jobs/{job_id}/examples", operation_id="get_examples", responses=refusals(409))
def examples(
    job_id: str,
    database: DatabaseDep,
    principal: CanRead,
    storage: StorageDep,
    split: Literal["train", "validation", "test"] = "test",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Examples:
    """The first rows of a split, as they came: what ``predict`` takes, and what is true."""
    with database.session(principal.tenant_id, write=False) as session:
        job = job_repository.get(session, job_id)
        plan = check(job.spec, UNLIMITED, dataset_repository.finder(session))
        arrays = dataset_repository.behind(session, storage, plan.spec)
    return Examples(split=split, data=examples_of(plan, arrays, split, limit))


async def answered(request: Request, principal: Principal, which: Which) -> Response:
    """The answer to a question."""
    must_be_json(request.headers.get("content-type", ""))
    oracle: PredictionService = request.app.state.oracle
    content = await oracle.answer(principal.tenant_id, which, await request.body())
    return Response(content, media_type=JSON)
