"""Small grey images in the terminal: shades of block characters, two of them for a square pixel."""

from __future__ import annotations

from collections.abc import Sequence

SHADES = " ░▒▓█"


def picture(pixels: Sequence[Sequence[float]], *, highest: float) -> list[str]:
    """An image of brightnesses 0…`highest`, one line a row, two characters a pixel."""
    return ["".join(shade(value / highest) * 2 for value in row) for row in pixels]


def shade(brightness: float) -> str:
    """The character for a brightness of 0…1; what lies outside is cut off."""
    return SHADES[max(0, min(int(brightness * len(SHADES)), len(SHADES) - 1))]


def beside(blocks: Sequence[Sequence[str]], *, width: int) -> list[str]:
    """Blocks of lines side by side, each in a column of `width` characters."""
    height = max(len(block) for block in blocks)
    filled = [[*block, *[""] * (height - len(block))] for block in blocks]
    rows = zip(*filled, strict=True)
    return ["".join(f"{line:<{width}}" for line in row).rstrip() for row in rows]
