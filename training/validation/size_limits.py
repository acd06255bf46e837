"""What is refused before it is read: a specification that only its size makes wrong.

Reading costs time for every value and every mistake; counting them costs next to none. Whatever is
found here stands for the whole section, which is not read. Imports no torch.
"""

from collections import deque
from typing import Any

from training.spec.mistakes import Mistake, escaped

MAX_NESTING_LEVELS = 8
"""Residual blocks within one another."""

MAX_SECTION_VALUES = 50_000
"""Values of a section, where a model may have no more than a thousand layers."""


def oversized(raw: Any, most_layers: int, most_values: int) -> dict[str, Mistake]:
    """By section, what is too much of it; the whole is the section of no name.

    ``most_values``: names, numbers, lists, all that is counted one by one.
    """
    if not isinstance(raw, dict):
        return {}
    if len(raw) > most_values:
        return {"": too_many("", most_values)}
    found = {
        name: too_many(f"/{escaped(name)}", most_values)
        for name, value in raw.items()
        if more_than(shell(value) if name == "dataset" else value, most_values)
    }
    if "model" not in found and (wrong := layers(raw.get("model"), most_layers)):
        found["model"] = wrong
    return found


def too_many(at: str, most: int) -> Mistake:
    """The sentence for a section of more values."""
    return Mistake(at, "limit_exceeded", f"more than the {most} values allowed here")


def shell(dataset: Any) -> Any:
    """A data set without its examples, which have a limit and a reading of their own."""
    if not isinstance(dataset, dict):
        return None
    return {name: value for name, value in dataset.items() if name not in ("x", "y")}


def more_than(value: Any, most: int) -> bool:
    """Whether more than so many values lie in ``value``; looks at no more than that."""
    waiting, count = deque([value]), 0
    while waiting and count <= most:
        inner = waiting.popleft()
        if isinstance(inner, dict | list):
            count += len(inner)
            if count <= most:
                waiting.extend(inner.values() if isinstance(inner, dict) else inner)
    return count > most


def layers(model: Any, most: int) -> Mistake | None:
    """Too many layers, those inside residual blocks counted, or blocks too deep in one another."""
    in_object = isinstance(model, dict)
    at = "/model/layers" if in_object else "/model"
    waiting = deque([(at, model.get("layers") if in_object else model, 0)])
    count = 0
    while waiting:
        here, listed, depth = waiting.popleft()
        if not isinstance(listed, list):
            continue
        if depth > MAX_NESTING_LEVELS:
            sentence = f"more than {MAX_NESTING_LEVELS} residual blocks lie within one another"
            return Mistake(here, "limit_exceeded", sentence)
        count += len(listed)
        for i, layer in enumerate(listed):
            if isinstance(layer, dict) and "layers" in layer:
                waiting.append((f"{here}/{i}/layers", layer["layers"], depth + 1))
    if count > most:
        sentence = f"{count} layers are more than the {most} allowed"
        return Mistake(at, "limit_exceeded", sentence)
    return None
