"""Trained models: by name, by version, and as a file."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.api.requests.dependencies import (
    After,
    CanRead,
    DatabaseDep,
    Limit,
    ReadSession,
    StorageDep,
)
from app.api.responses.openapi import refusals
from app.api.schemas.models import (
    ModelDocument,
    ModelList,
    VersionDocument,
    model_document,
    version_document,
)
from app.services import models

router = APIRouter(prefix="/v1/models", tags=["models"])


Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


PIECE_BYTES = 1 << 20
"""Bytes of a file that are read at once."""


FILE = {
    200: {"description": "The file.", "content": {"application/octet-stream": {}}},
    **refusals(503),
}


@router.get("", operation_id="list_models")
def index(session: ReadSession, limit: Limit = 20, after: After = None) -> ModelList:
    """Models, newest first."""
    page = models.listed(session, limit, after)
    data = [model_document(described) for described in page.rows]
    return ModelList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{name}", operation_id="get_model")
def show(name: str, session: ReadSession) -> ModelDocument:
    """One model and its newest version."""
    return model_document(models.described(session, name))


@router.get("/{name}/versions/{version}", operation_id="get_model_version")
def show_version(name: str, version: Version, session: ReadSession) -> VersionDocument:
    """One version."""
    return version_document(name, models.find(session, name, version))


@router.get(
    "/{name}/versions/{version}/download",
    operation_id="download_model",
    responses=FILE,
    response_class=Response,
)
def download(
    name: str,
    version: Version,
    database: DatabaseDep,
    principal: CanRead,
    storage: StorageDep,
    format_: Annotated[Literal["safetensors"], Query(alias="format")] = "safetensors",
) -> Response:
    """The model as a file: tensors by their ``state_dict`` names under ``state.``, the preparation
    of inputs, and the layers as JSON in the file's metadata."""
    with database.session(principal.tenant_id, write=False) as session:
        found = models.find(session, name, version)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}-{version}.{format_}"',
        "Content-Length": str(found.size),
        "ETag": f'"{found.sha256}"',
    }
    content = pieces(models.file(storage, found))
    return StreamingResponse(content, headers=headers, media_type="application/octet-stream")


def pieces(path: FilePath) -> Iterator[bytes]:
    """A file, which may be too large to be held, bit by bit."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece
