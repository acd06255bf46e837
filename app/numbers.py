"""Numbers that JSON cannot carry travel as the strings ``NaN``, ``Infinity`` and ``-Infinity``."""

import math
from typing import Any


def speakable(value: Any) -> Any:
    """``value`` (numbers, lists, dicts) with every number as JSON can say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: speakable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [speakable(item) for item in value]
    return value


def spoken(value: float | str) -> float:
    """The number again."""
    return float(value)
