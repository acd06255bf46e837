"""The client's models: `client.models.…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fallline.http.request import Request, segment
from fallline.http.sync_async import M, dual_method
from fallline.jsonable import Json
from fallline.resources.listing import Listing
from fallline.types import Predictions, predictions_of, read, time_of


@dataclass(frozen=True)
class ModelVersion:
    """One trained model: the job that left it, the length and hash of its file."""

    id: str
    model: str
    version: int
    job: str
    sha256: str
    size: int
    created_at: datetime
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Model:
    """A name, how many versions it has, and the newest of them."""

    id: str
    name: str
    versions: int
    newest: ModelVersion
    created_at: datetime
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Models(Listing[Model, M]):
    """Find and ask trained models. Every method may raise `ApiError`, `Unreachable`."""

    _where = "/v1/models"

    @staticmethod
    def _row(document: Json) -> Model:
        """A model document."""
        newest = version_of(document.get("newest"))
        return read(Model, document, newest=newest, created_at=time_of(document.get("created_at")))

    @dual_method
    async def get(self, name: str) -> Model:
        """A model by its name."""
        return self._row(await self._http.get(path(name)))

    @dual_method
    async def version(self, name: str, version: int) -> ModelVersion:
        """One version of a model."""
        return version_of(await self._http.get(path(name, version)))

    @dual_method
    async def download(self, name: str, version: int, *, form: str = "safetensors") -> bytes:
        """The file of one version."""
        request = Request("GET", f"{path(name, version)}/download", {"format": form})
        return (await self._http.send(request)).content

    @dual_method
    async def predict(
        self,
        name: str,
        inputs: Sequence[Any],
        *,
        version: int | None = None,
        outputs: Sequence[str] = (),
    ) -> Predictions:
        """What a model says about `inputs`, one row each; its newest version unless named."""
        body = {"inputs": inputs, "outputs": outputs}
        return predictions_of(await self._http.ask(f"{path(name, version)}/predict", body))


def path(name: str, version: int | None = None) -> str:
    """Where a model, or a version of it, is found."""
    model = f"/v1/models/{segment(name)}"
    return model if version is None else f"{model}/versions/{version}"


def version_of(document: Json) -> ModelVersion:
    """The document of one version."""
    return read(ModelVersion, document, created_at=time_of((document or {}).get("created_at")))
