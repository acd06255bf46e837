"""Trained models: by name, by version, and as a file."""

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from app.api.deps import After, DatabaseDep, Limit, Reader, Reading, StorageDep
from app.api.openapi import refusals
from app.api.schemas import Document, Time
from app.services import models
from app.services.models import Described
from app.tables import ModelVersion

router = APIRouter(prefix="/v1/models", tags=["models"])

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
PIECE = 1 << 20
"""Bytes of a file that are read at once."""
FILE = {
    200: {"description": "The file.", "content": {"application/octet-stream": {}}},
    **refusals(503),
}


class VersionDocument(Document):
    """One trained model: the job that left it, and the length and hash of its file."""

    id: str
    object: Literal["model_version"] = "model_version"
    model: str
    version: int
    job: str
    sha256: str
    size: int
    created_at: Time


class ModelDocument(Document):
    """A name with its newest version."""

    id: str
    object: Literal["model"] = "model"
    name: str
    versions: int
    newest: VersionDocument
    created_at: Time


class ModelList(Document):
    """A page of models, newest first."""

    data: list[ModelDocument]
    has_more: bool
    next: str | None


@router.get("", operation_id="list_models")
def index(session: Reading, limit: Limit = 20, after: After = None) -> ModelList:
    """Models, newest first."""
    page = models.listed(session, limit, after)
    data = [model_document(described) for described in page.rows]
    return ModelList(data=data, has_more=page.next is not None, next=page.next)


@router.get("/{name}", operation_id="get_model")
def show(name: str, session: Reading) -> ModelDocument:
    """One model and its newest version."""
    return model_document(models.described(session, name))


@router.get("/{name}/versions/{version}", operation_id="get_model_version")
def show_version(name: str, version: Version, session: Reading) -> VersionDocument:
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
    principal: Reader,
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
        while piece := file.read(PIECE):
            yield piece


def model_document(described: Described) -> ModelDocument:
    """A model as clients see it."""
    model, newest = described
    return ModelDocument(
        id=model.id,
        name=model.name,
        versions=newest.version,
        newest=version_document(model.name, newest),
        created_at=model.created_at,
    )


def version_document(name: str, version: ModelVersion) -> VersionDocument:
    """A version as clients see it."""
    return VersionDocument(
        id=version.id,
        model=name,
        version=version.version,
        job=version.job_id,
        sha256=version.sha256,
        size=version.size,
        created_at=version.created_at,
    )
