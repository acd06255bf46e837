"""What the nouns have in common that the service lists: one page, or page after page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar, Generic, TypeVar

from fallline.http.sync_async import M, Resource, dual_method, dual_stream
from fallline.jsonable import Json
from fallline.types import Page, page_of

T = TypeVar("T")


class Listing(Resource[M], ABC, Generic[T, M]):
    """A noun with a list at `_where`."""

    _where: ClassVar[str]

    @staticmethod
    @abstractmethod
    def _row(document: Json) -> T:
        """A document as what it describes."""

    @dual_method
    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[T]:
        """One page, newest first; `after` is the `next` of the page before."""
        answer = await self._http.get(self._where, {"limit": limit, "after": after})
        return page_of(answer, self._row)

    @dual_stream
    async def all(self) -> AsyncGenerator[T, None]:
        """The rows of every page, newest first."""
        async for row in self._http.rows(self._where):
            yield self._row(row)
