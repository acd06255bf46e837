"""Predictions, and the held-back examples to try them on."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query
from pydantic import Field

from app import inference
from app.api.answers import Router
from app.api.body import Body, described, read
from app.api.deps import Caller, DatabaseDep, Reader, SettingsDep, StorageDep
from app.api.openapi import refusals
from app.api.schemas import Document
from app.config import Settings
from app.errors import Invalid
from app.services import datasets, jobs, models
from app.storage import Storage
from app.tables import ModelVersion
from training.check import UNLIMITED, check
from training.mistakes import Mistake

router = Router(prefix="/v1", tags=["predictions"])


class PredictionRequest(Document):
    """Rows of features; ``outputs`` asks for more than the prediction itself."""

    inputs: Annotated[list[Any], Field(min_length=1)]
    outputs: tuple[Literal["logits"], ...] = ()


def asked(body: Body) -> PredictionRequest:
    """The body as a request; raises ``Invalid`` with every mistake."""
    return read(body, PredictionRequest)


Asked = Annotated[PredictionRequest, Depends(asked)]
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


@router.post("/models/{name}/predict", operation_id="predict_newest", openapi_extra=ASKED)
def newest(
    name: str,
    body: Asked,
    database: DatabaseDep,
    principal: Caller,
    storage: StorageDep,
    settings: SettingsDep,
) -> Predictions:
    """The newest version of a model."""
    with database.session(principal.tenant_id, write=False) as session:
        found = models.find(session, name)
    return answered(name, found, body, storage, settings)


@router.post(
    "/models/{name}/versions/{version}/predict",
    operation_id="predict_version",
    openapi_extra=ASKED,
)
def of_version(
    name: str,
    version: Version,
    body: Asked,
    database: DatabaseDep,
    principal: Caller,
    storage: StorageDep,
    settings: SettingsDep,
) -> Predictions:
    """One version of a model."""
    with database.session(principal.tenant_id, write=False) as session:
        found = models.find(session, name, version)
    return answered(name, found, body, storage, settings)


@router.post("/jobs/{job_id}/predict", operation_id="predict_by_job", openapi_extra=ASKED)
def of_job(
    job_id: str,
    body: Asked,
    database: DatabaseDep,
    principal: Caller,
    storage: StorageDep,
    settings: SettingsDep,
) -> Predictions:
    """The model that a job left."""
    with database.session(principal.tenant_id, write=False) as session:
        job = jobs.get(session, job_id)
        found = models.of_job(session, job)
    return answered(job.name, found, body, storage, settings)


@router.get("/jobs/{job_id}/examples", operation_id="get_examples", responses=refusals(409))
def examples(
    job_id: str,
    database: DatabaseDep,
    principal: Reader,
    storage: StorageDep,
    split: Literal["train", "validation", "test"] = "test",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Examples:
    """The first rows of a split, as they came: what ``predict`` takes, and what is true."""
    with database.session(principal.tenant_id, write=False) as session:
        job = jobs.get(session, job_id)
        plan = check(job.spec, UNLIMITED, datasets.finder(session))
        arrays = datasets.behind(session, storage, plan.spec)
    return Examples(split=split, data=inference.examples(plan, arrays, split, limit))


def answered(
    name: str,
    version: ModelVersion,
    body: PredictionRequest,
    storage: Storage,
    settings: Settings,
) -> Predictions:
    """The answer of one model version. It may take long, so no transaction is open meanwhile."""
    if len(body.inputs) > settings.max_prediction_rows:
        sentence = (
            f"{len(body.inputs)} rows are more than the {settings.max_prediction_rows} allowed"
        )
        raise Invalid("too many rows", [Mistake("/inputs", "limit_exceeded", sentence)])
    rows = inference.predict(storage, version, body.inputs, logits="logits" in body.outputs)
    return Predictions(model=name, version=version.version, predictions=rows)
