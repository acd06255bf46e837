"""Data sets, as documents."""

from typing import Any, Literal

from pydantic import Field

from app.api.schemas.base import Document, Time
from app.tables import Dataset


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
