"""The client's catalogue: `client.catalog.…`."""

from __future__ import annotations

from typing import Any, cast

from fallline.modes import M, Noun, call


class Catalog(Noun[M]):
    """The words of a specification. Every method may raise `ApiError`, `Unreachable`."""

    @call
    async def get(self) -> dict[str, Any]:
        """Every layer, loss, optimizer, schedule, metric and bundled data set, by kind."""
        return cast(dict[str, Any], await self._http.get("/v1/catalog"))

    @call
    async def schema(self) -> dict[str, Any]:
        """The JSON Schema of a specification."""
        return cast(dict[str, Any], await self._http.get("/v1/catalog/schema"))
