"""Where two JSON values differ, in lines that are short enough to read."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

MOST_LINES = 20


def first_lines(found: Iterator[str], most: int = MOST_LINES) -> list[str]:
    """At most so many of the lines, and how many more there are."""
    shown = list(islice(found, most))
    left = sum(1 for _ in found)
    return [*shown, f"… and {left} more"] if left else shown


def differences(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Where two JSON values differ, a line each, with a JSON Pointer."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            here = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in new:
                yield f"{here} is gone"
            elif name not in old:
                yield f"{here} is new"
            else:
                yield from differences(old[name], new[name], here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differences(a, b, f"{at}/{number}")
    elif json.dumps(old) != json.dumps(new):  # by text: 1 is not true, and not 1.0
        yield f"{at or '/'}: {short(old)} → {short(new)}"


def short(value: Any) -> str:
    """A value as JSON of at most 80 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
