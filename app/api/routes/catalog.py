"""What can be said: every word with its arguments, and the form of a whole specification."""

from typing import Any, Literal

from fastapi import APIRouter, Depends, Response

from app.api.requests.dependencies import CanRead
from app.api.schemas.base import Document
from app.services import catalog
from app.services.catalog import Entry


def kept(response: Response) -> None:
    """It changes with the version of the service only."""
    response.headers["Cache-Control"] = "private, max-age=300"


router = APIRouter(prefix="/v1/catalog", tags=["catalog"], dependencies=[Depends(kept)])


class WordDocument(Document):
    """A word: a sentence, all that is to be said of it, the JSON Schema of what stands beside its
    ``type``."""

    name: str
    summary: str
    description: str
    arguments: dict[str, Any]


class BundledDocument(Document):
    """A data set that is always there; its target has ``classes``, or is ``width`` numbers."""

    name: str
    summary: str
    rows: int
    input_shape: tuple[int, ...]
    classes: tuple[int | str, ...] | None
    width: int | None


class CatalogDocument(Document):
    """Every word of a specification."""

    object: Literal["catalog"] = "catalog"
    layers: list[WordDocument]
    losses: list[WordDocument]
    optimizers: list[WordDocument]
    schedules: list[WordDocument]
    metrics: list[WordDocument]
    inits: list[WordDocument]
    preparations: list[WordDocument]
    datasets: list[BundledDocument]


@router.get("", operation_id="get_catalog")
def show(principal: CanRead) -> CatalogDocument:
    """Every layer, loss, optimizer, schedule, metric, init scheme, preparation and bundled data
    set."""
    return CatalogDocument(
        layers=documents(catalog.entries("layers")),
        losses=documents(catalog.entries("losses")),
        optimizers=documents(catalog.entries("optimizers")),
        schedules=documents(catalog.entries("schedules")),
        metrics=documents(catalog.entries("metrics")),
        inits=documents(catalog.entries("inits")),
        preparations=documents(catalog.preparations()),
        datasets=[BundledDocument(**found._asdict()) for found in catalog.datasets()],
    )


@router.get("/schema", operation_id="get_catalog_schema")
def schema(principal: CanRead) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a specification.

    What it accepts has the right form; whether its parts fit one another, only
    `POST /v1/jobs/validate` knows.
    """
    return catalog.specification_schema()


def documents(entries: tuple[Entry, ...]) -> list[WordDocument]:
    """Words as clients see them."""
    return [WordDocument(**entry._asdict()) for entry in entries]
