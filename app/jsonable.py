"""Numbers that JSON cannot carry travel as the strings ``NaN``, ``Infinity`` and ``-Infinity``."""

import json
import math
from typing import Any

import orjson


def to_jsonable(value: Any) -> Any:
    """``value`` (numbers, lists, dicts) with every number as JSON can say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_jsonable(item) for item in value]
    return value


def dumps(value: Any) -> bytes:
    """``value``, in which nothing is ``None``, as JSON."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(to_jsonable(value), separators=(",", ":")).encode()
    # What no number can say becomes null; a name may hold the word as well.
    return orjson.dumps(to_jsonable(value)) if b"null" in text else text


def from_jsonable(value: float | str) -> float:
    """The number again."""
    return float(value)
