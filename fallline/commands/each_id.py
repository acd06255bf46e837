"""One thing done to several that are named by their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import typer

from fallline.errors import ApiError
from fallline.terminal import exit_codes

T = TypeVar("T")

OF_ONE = frozenset({404, 409})
"""A refusal with such a status is about the one that was named; the others have their turn."""


class Several:
    """What is done to each; a refusal is told on stderr, and the next one has its turn."""

    def __init__(self) -> None:
        self.refused = False

    def each(self, ids: Iterable[str], act: Callable[[str], T]) -> Iterator[T]:
        """What came of it for each that was not refused."""
        for one in ids:
            try:
                yield act(one)
            except ApiError as error:
                if error.status not in OF_ONE:
                    raise
                self.refused = True
                typer.echo(f"fallline: {one}: {error}", err=True)

    def do(self, ids: Iterable[str], act: Callable[[str], None], done: str) -> None:
        """Do it to each, and say of which it is `done`: deleted, revoked."""

        def told(one: str) -> str:
            act(one)
            return f"{one} is {done}."

        for line in self.each(ids, told):
            typer.echo(line, err=True)

    def concluded(self) -> None:
        """End the command with the code of a refusal where there was one."""
        if self.refused:
            raise typer.Exit(exit_codes.REFUSED)
