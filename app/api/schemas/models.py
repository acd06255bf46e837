"""Models and their versions, as documents."""

from typing import Literal

from app.api.schemas.base import Document, Time
from app.services.models import Described
from app.tables import ModelVersion


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
