"""What the nouns have in common that the service lists: one page, or page after page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar, Generic, TypeVar

from fallline.answers import Page, page_of
from fallline.modes import M, Noun, call, stream
from fallline.numbers import Json

T = TypeVar("T")


class Listed(Noun[M], ABC, Generic[T, M]):
    """A noun with a list at `_where`."""

    _where: ClassVar[str]

    @staticmethod
    @abstractmethod
    def _row(document: Json) -> T:
        """A document as what it describes."""

    @call
    async def list(self, *, limit: int | None = None, after: str | None = None) -> Page[T]:
        """One page, newest first; `after` is the `next` of the page before."""
        answer = await self._http.get(self._where, {"limit": limit, "after": after})
        return page_of(answer, self._row)

    @stream
    async def all(self) -> AsyncGenerator[T, None]:
        """The rows of every page, newest first."""
        async for row in self._http.rows(self._where):
            yield self._row(row)
