"""Data sets: upload, list, look, delete."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from app.api.answers import Router
from app.api.deps import (
    After,
    DatabaseDep,
    Keeping,
    Limit,
    Reader,
    Reading,
    StorageDep,
    Writing,
)
from app.api.openapi import refusals
from app.api.schemas import Document, Time
from app.api.uploads import Uploaded
from app.services import datasets
from app.tables import Dataset

router = Router(prefix="/v1/datasets", tags=["datasets"])

IRIS = "sepal length,sepal width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n6.3,3.3,virginica\n"
TEXT = {"schema": {"type": "string"}, "examples": {"flowers": {"value": IRIS}}}
FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
        "additionalProperties": False,
    }
}
FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": TEXT,
            "application/csv": {"schema": {"type": "string"}},
            "text/tab-separated-values": {"schema": {"type": "string"}},
            "multipart/form-data": FORM,
        },
    }
}


class ColumnDocument(Document):
    """A column: what it was found to hold, and what becomes of it.

    ``categories``: of a feature, or the classes of the target; ``inputs``: how many numbers a
    network is given for it; ``note``: why it is ignored, or what else is to be known.
    """

    name: str
    role: Literal["feature", "target", "ignored"]
    kind: Literal["numeric", "boolean", "categorical", "text", "empty"]
    categories: list[int | str] | None
    missing: bool
    inputs: int
    note: str | None


class SchemaDocument(Document):
    """The columns in the order of the file, and the inputs of a network together."""

    columns: list[ColumnDocument]
    inputs: int


class SourceDocument(Document):
    """What was received, and how it was read. ``decimal``: a comma where the numbers of any column
    have one."""

    bytes: int
    sha256: str
    encoding: str
    delimiter: str
    quote: str
    header: bool
    decimal: Literal[".", ","]


class StatisticsDocument(Document):
    """What is in the columns; the rows of each class; rows that are there twice (all that a model
    sees of them is equal), or that have no target and were left out."""

    columns: dict[str, dict[str, Any]]
    classes: dict[str, int] | None
    duplicate_rows: int
    rows_without_target: int


class DatasetDocument(Document):
    """Uploaded data."""

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    target: str
    rows: int
    schema_: SchemaDocument = Field(serialization_alias="schema")
    statistics: StatisticsDocument
    source: SourceDocument
    size: int
    created_at: Time


class DatasetList(Document):
    """A page of data sets, newest first."""

    data: list[DatasetDocument]
    has_more: bool
    next: str | None


class Preview(Document):
    """The first rows, each an object by column."""

    dataset: str
    data: list[dict[str, Any]]


@router.post(
    "",
    status_code=201,
    operation_id="create_dataset",
    openapi_extra=FILE,
    responses=refusals(507),
)
def create(upload: Uploaded, session: Keeping, response: Response) -> DatasetDocument:
    """Uploads a table, as the body or as the part `file` of a form; streamed, so it may be large.

    Delimiter, quotes, encoding and header are detected unless they are stated; columns are numbers,
    true and false, or categories.
    """
    row = datasets.add(session, upload.described, upload.stored)
    upload.draft.keep(upload.stored)
    response.headers["Location"] = f"/v1/datasets/{row.id}"
    return dataset_document(row)


@router.get("", operation_id="list_datasets")
def index(session: Reading, limit: Limit = 20, after: After = None) -> DatasetList:
    """Data sets, newest first."""
    page = datasets.listed(session, limit, after)
    data = [dataset_document(row) for row in page.rows]
    return DatasetList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{dataset_id}", operation_id="get_dataset")
def show(dataset_id: str, session: Reading) -> DatasetDocument:
    """One data set."""
    return dataset_document(datasets.get(session, dataset_id))


@router.get("/{dataset_id}/preview", operation_id="preview_dataset")
def preview(
    dataset_id: str,
    database: DatabaseDep,
    principal: Reader,
    storage: StorageDep,
    rows: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Preview:
    """The first rows, with their target, without what is ignored."""
    with database.session(principal.tenant_id, write=False) as session:
        found = datasets.get(session, dataset_id)
    return Preview(dataset=dataset_id, data=datasets.preview(found, storage, rows))


@router.delete(
    "/{dataset_id}", status_code=204, operation_id="delete_dataset", responses=refusals(409)
)
def delete(dataset_id: str, session: Writing, database: DatabaseDep, storage: StorageDep) -> None:
    """Removes a data set that no job needs; models trained on it stay, and go on predicting."""
    datasets.delete(session, database, storage, dataset_id)


def dataset_document(row: Dataset) -> DatasetDocument:
    """A data set as clients see it."""
    return DatasetDocument(
        id=row.id,
        name=row.name,
        target=row.target,
        rows=row.rows,
        schema_=SchemaDocument.model_validate(row.schema),
        statistics=StatisticsDocument.model_validate(row.statistics),
        source=SourceDocument.model_validate(row.source),
        size=row.size,
        created_at=row.created_at,
    )
