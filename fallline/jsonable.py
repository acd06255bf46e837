"""Numbers that JSON cannot carry, as the service writes them: "NaN", "Infinity", "-Infinity"."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""What a JSON text holds: dictionaries, lists, strings, numbers, booleans and None."""

NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def number(value: float | str) -> float:
    """A number as JSON carries it: itself, or one of the three words."""
    return NON_FINITE[value] if isinstance(value, str) else float(value)


def numbers(value: Json) -> Json:
    """`value` with the three words turned into floats, however deep they lie in it."""
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    if isinstance(value, dict):
        return {key: numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers(inner) for inner in value]
    return value
