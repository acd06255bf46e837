"""The client's data sets: `client.datasets.…`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from fallline.http.request import Source, segment, size_of
from fallline.http.sync_async import M, dual_method
from fallline.jsonable import Json, numbers
from fallline.resources.listing import Listing
from fallline.types import read, time_of

MEDIA_TYPES = {".tsv": "text/tab-separated-values"}

# The service answers when it has read, typed and stored all rows.
UPLOAD_SECONDS = 900.0


@dataclass(frozen=True)
class Dataset:
    """Data that were uploaded.

    `schema` says what each column holds, `statistics` what is in it, `source` how the file was
    read, `size` how many bytes are stored.
    """

    id: str
    name: str
    rows: int
    target: str
    schema: Mapping[str, Any]
    statistics: Mapping[str, Any]
    source: Mapping[str, Any]
    size: int
    created_at: datetime
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Datasets(Listing[Dataset, M]):
    """Upload and find data. Every method may raise `ApiError`, `Unreachable`."""

    _where = "/v1/datasets"

    @staticmethod
    def _row(document: Json) -> Dataset:
        """A data set's document."""
        return read(Dataset, document, created_at=time_of(document.get("created_at")))

    @dual_method
    async def upload(
        self,
        source: Source,
        *,
        target: str,
        name: str | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        ignore: Sequence[str] = (),
        media_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Store a table: a path, bytes or an open file, read while it is sent.

        `target` names the column to be predicted, `ignore` those that are no features. `name`
        defaults to the file's, and `media_type` follows from its ending; delimiter, encoding and
        whether there is a header line are detected unless they are given.
        """
        file = Path(source) if isinstance(source, (str, os.PathLike)) else None
        params = {
            "target": target,
            "name": name or (file and file.stem),
            "delimiter": delimiter,
            "encoding": encoding,
            "header": header,
            "ignore": list(ignore) or None,
        }
        headers = {"Content-Type": media_type or media_type_of(file)}
        if (size := size_of(source)) is not None:
            headers["Content-Length"] = str(size)
        answer = await self._http.act(
            "/v1/datasets",
            key=idempotency_key,
            headers=headers,
            file=source,
            params=params,
            timeout=UPLOAD_SECONDS,
        )
        return self._row(answer)

    @dual_method
    async def get(self, dataset: str) -> Dataset:
        """A data set by its id."""
        return self._row(await self._http.get(path(dataset)))

    @dual_method
    async def preview(self, dataset: str, *, rows: int | None = None) -> dict[str, Any]:
        """Its first rows, as they are read."""
        answer = await self._http.get(f"{path(dataset)}/preview", {"rows": rows})
        return cast(dict[str, Any], numbers(answer))

    @dual_method
    async def delete(self, dataset: str) -> None:
        """Delete a data set that no job needs which has not ended."""
        await self._http.delete(path(dataset))


def path(dataset: str) -> str:
    """Where a data set is found."""
    return f"/v1/datasets/{segment(dataset)}"


def media_type_of(file: Path | None) -> str:
    """The media type of a file by its ending: CSV, if not TSV; the service sees what it is."""
    return MEDIA_TYPES.get(file.suffix.lower() if file else "", "text/csv")
