"""Data sets: upload, list, look, delete."""

from typing import Annotated

from fastapi import Query, Response

from app.api.requests.dependencies import (
    After,
    CanRead,
    DatabaseDep,
    Limit,
    ReadSession,
    StorageDep,
    UploadSession,
    WriteSession,
)
from app.api.requests.idempotency import Router
from app.api.requests.upload import Uploaded
from app.api.responses.openapi import refusals
from app.api.schemas.datasets import DatasetDocument, DatasetList, Preview, dataset_document
from app.services.datasets import dataset_repository

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


@router.post(
    "",
    status_code=201,
    operation_id="create_dataset",
    openapi_extra=FILE,
    responses=refusals(507),
)
def create(upload: Uploaded, session: UploadSession, response: Response) -> DatasetDocument:
    """Uploads a table, as the body or as the part `file` of a form; streamed, so it may be large.

    Delimiter, quotes, encoding and header are detected unless they are stated; columns are numbers,
    true and false, or categories.
    """
    row = dataset_repository.add(session, upload.described, upload.stored)
    upload.draft.keep(upload.stored)
    response.headers["Location"] = f"/v1/datasets/{row.id}"
    return dataset_document(row)


@router.get("", operation_id="list_datasets")
def index(session: ReadSession, limit: Limit = 20, after: After = None) -> DatasetList:
    """Data sets, newest first."""
    page = dataset_repository.listed(session, limit, after)
    data = [dataset_document(row) for row in page.rows]
    return DatasetList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{dataset_id}", operation_id="get_dataset")
def show(dataset_id: str, session: ReadSession) -> DatasetDocument:
    """One data set."""
    return dataset_document(dataset_repository.get(session, dataset_id))


@router.get("/{dataset_id}/preview", operation_id="preview_dataset")
def preview(
    dataset_id: str,
    database: DatabaseDep,
    principal: CanRead,
    storage: StorageDep,
    rows: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Preview:
    """The first rows, with their target, without what is ignored."""
    with database.session(principal.tenant_id, write=False) as session:
        found = dataset_repository.get(session, dataset_id)
    return Preview(dataset=dataset_id, data=dataset_repository.preview(found, storage, rows))


@router.delete(
    "/{dataset_id}", status_code=204, operation_id="delete_dataset", responses=refusals(409)
)
def delete(
    dataset_id: str, session: WriteSession, database: DatabaseDep, storage: StorageDep
) -> None:
    """Removes a data set that no job needs; models trained on it stay, and go on predicting."""
    dataset_repository.delete(session, database, storage, dataset_id)
