"""The client's catalogue: `client.catalog.…`."""

from __future__ import annotations

from typing import Any, cast

from fallline.http.sync_async import M, Resource, dual_method


class Catalog(Resource[M]):
    """The words of a specification. Every method may raise `ApiError`, `Unreachable`."""

    @dual_method
    async def get(self) -> dict[str, Any]:
        """Every layer, loss, optimizer, schedule, metric and bundled data set, by kind."""
        return cast(dict[str, Any], await self._http.get("/v1/catalog"))

    @dual_method
    async def schema(self) -> dict[str, Any]:
        """The JSON Schema of a specification."""
        return cast(dict[str, Any], await self._http.get("/v1/catalog/schema"))
