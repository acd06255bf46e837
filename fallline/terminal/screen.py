"""How the demo and `jobs watch` look: headings, a progress line, tables and pictures.

On a terminal there is colour and a moving bar; elsewhere there are plain lines and no control
characters.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

# Where a bar cannot move, a line is printed each time this part of the work is done.
PLAIN_STEP_RATIO = 0.1

INDENT_CHARACTERS = 3
GAP_CHARACTERS = 3

Advance = Callable[[int, float | None], None]
"""Tells how many iterations are done and the latest loss."""


class Screen:
    """A console with the few forms that they need."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._headings = 0

    def title(self, text: str) -> None:
        """The first line."""
        self.console.print(Text(text, style="bold cyan"))

    def heading(self, text: str) -> None:
        """A numbered heading over the next part."""
        self._headings += 1
        self.console.print()
        self.console.print(Text(f"{self._headings}  {text}", style="bold cyan"))

    def say(self, text: str, style: str = "") -> None:
        """A paragraph."""
        margin = " " * INDENT_CHARACTERS
        width = self.console.width - INDENT_CHARACTERS
        self.lines([margin + line for line in textwrap.wrap(text, width)], style)

    def lines(self, lines: Sequence[str], style: str = "") -> None:
        """Lines as they are, neither indented nor wrapped."""
        for line in lines:
            self.console.print(Text(line, style=style, no_wrap=True, overflow="crop"))

    def table(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of numbers, right-aligned but for the first column."""
        columns = list(zip(names, *rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        self.lines([" " * INDENT_CHARACTERS + row_text(names, widths)], "bold")
        self.lines(
            [" " * INDENT_CHARACTERS + "─" * (sum(widths) + GAP_CHARACTERS * (len(widths) - 1))]
        )
        self.lines([" " * INDENT_CHARACTERS + row_text(row, widths) for row in rows])

    @contextmanager
    def progress(self, total: int) -> Iterator[Advance]:
        """A bar with the loss beside it, which the yielded function moves."""
        if not self.console.is_terminal:
            yield self._plain_progress(total)
            return
        columns = (
            TextColumn("   iteration"),
            MofNCompleteColumn(),
            BarColumn(bar_width=34),
            TextColumn("{task.fields[loss]}", style="green"),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task("", total=total, loss="")
            yield lambda done, loss: bar.update(task, completed=done, loss=loss_text(loss))

    def _plain_progress(self, total: int) -> Advance:
        due = 0.0

        def advance(done: int, loss: float | None) -> None:
            nonlocal due
            if done and done >= due:
                self.say(f"iteration {done:>5}/{total}  {loss_text(loss)}")
                # The last one is always told, and once.
                due = min(done + PLAIN_STEP_RATIO * total, total) if done < total else math.inf

        return advance


def row_text(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One row of a table: the first cell on the left, numbers on the right."""
    first, *rest = (
        f"{cell:>{width}}" if place else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return (" " * GAP_CHARACTERS).join([first, *rest])


def loss_text(loss: float | None) -> str:
    """`loss 0.3121`, or nothing before the first."""
    return "" if loss is None else f"loss {loss:.4f}"
