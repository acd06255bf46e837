"""The words of a specification, described; derived from the catalogue: none is forgotten."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from training.catalog import (
    ABOUT,
    BUNDLED,
    INITS,
    LAYERS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    PREPARATIONS,
    SCHEDULES,
    Classes,
    Config,
    Facts,
)
from training.spec.job_spec import JobSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


class Entry(NamedTuple):
    """A word: its name, a sentence, all that is to be said, and the JSON Schema of its arguments.

    ``arguments`` describe what stands beside ``type``.
    """

    name: str
    summary: str
    description: str
    arguments: Schema


WORDS: dict[str, Mapping[str, type[Config]]] = {
    "layers": LAYERS,
    "losses": LOSSES,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "metrics": METRICS,
    "inits": INITS,
}


@cache
def entries(family: str) -> tuple[Entry, ...]:
    """The words of one family, in the order of the catalogue."""
    return tuple(entry(name, word) for name, word in WORDS[family].items())


def entry(name: str, word: type[Config]) -> Entry:
    """A word, described by its own docstring and its own fields."""
    description = plain(inspect.getdoc(word) or "")
    return Entry(name, summary(description), description, arguments(word))


def summary(description: str) -> str:
    """The first paragraph, as one line."""
    return " ".join(description.partition("\n\n")[0].split())


def plain(docstring: str) -> str:
    """A docstring as Markdown."""
    return docstring.replace("``", "`")


def arguments(word: type[Config]) -> Schema:
    """The JSON Schema of a word's arguments: of the word itself, without its name."""
    schema = word.model_json_schema()
    # A layer that holds layers refers to itself; then the whole is one of its definitions.
    inner = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    properties = {name: field for name, field in inner["properties"].items() if name != "type"}
    required = [name for name in inner["required"] if name != "type"]
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **definitions,
    }


def preparations() -> tuple[Entry, ...]:
    """The ways to prepare data; they take no arguments."""
    return tuple(
        Entry(name, sentence, sentence, NOTHING) for name, sentence in PREPARATIONS.items()
    )


NOTHING: Schema = {
    "$schema": DIALECT,
    "type": "object",
    "properties": {},
    "required": [],
    "additionalProperties": False,
}


class Bundled(NamedTuple):
    """A bundled data set: examples of this shape; the target has classes or a width."""

    name: str
    summary: str
    rows: int
    input_shape: tuple[int, ...]
    classes: tuple[int | str, ...] | None
    width: int | None


def datasets() -> tuple[Bundled, ...]:
    """The data sets that are always there."""
    return tuple(bundled(name, facts) for name, facts in BUNDLED.items())


def bundled(name: str, facts: Facts) -> Bundled:
    """One of them."""
    target, about = facts.target, (name, ABOUT[name], facts.rows, facts.input_shape)
    if isinstance(target, Classes):
        return Bundled(*about, target.labels, None)
    return Bundled(*about, None, target.width)


@cache
def specification_schema() -> Schema:
    """The JSON Schema of a specification: self-contained; exactly one length is a number."""
    lengths = [
        {"required": [name], "properties": {name: {"type": "integer"}}}
        for name in ("iterations", "epochs")
    ]
    return {"$schema": DIALECT, **JobSpec.model_json_schema(), "oneOf": lengths}
