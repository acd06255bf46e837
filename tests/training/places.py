"""Every place of a specification where a number may stand, found by looking at the models."""

import copy
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from tests.specifications import Specification
from tests.training import small_jobs
from tests.training.small_jobs import binary, cnn
from tests.training.test_every_layer import JOBS
from training.catalog.base import Section
from training.spec.job_spec import JobSpec
from training.spec.mistakes import models_in
from training.validation.check import check

Kind = Literal["number", "integer"]
Schema = dict[str, Any]

BASES: tuple[Specification, ...] = (
    # First, for a list is tried with two numbers.
    binary(model=[{"type": "linear", "out_features": 2}], loss="cross_entropy"),
    *JOBS.values(),
    *small_jobs.LOSSES.values(),
    *(cnn(optimizer=word) for word in small_jobs.OPTIMIZERS.values()),
    *(cnn(schedule=word) for word in small_jobs.SCHEDULES.values()),
    cnn(
        metrics=[{"type": "top_k_accuracy", "k": 2}],
        early_stopping={"patience": 2},
        convergence={"tolerance": 0.1},
    ),
)
"""Jobs with every word and every section."""


class Argument(NamedTuple):
    """An argument that takes a number: at ``within`` of its value, where that is a list."""

    section: str
    name: str
    within: tuple[int, ...]
    kind: Kind


class Place(NamedTuple):
    """Where an argument stands in a job; ``blank``: its value, with ``None`` for the number."""

    argument: Argument
    steps: tuple[str | int, ...]
    blank: Any
    job: Specification

    @property
    def field(self) -> str:
        """The pointer to the whole value of the argument."""
        return "".join(f"/{step}" for step in (*self.steps, self.argument.name))

    def holding(self, number: float) -> Specification:
        """The job with another number there."""
        job = copy.deepcopy(self.job)
        at: Any = job
        for step in self.steps:
            at = at[step]
        at[self.argument.name] = filled(self.blank, self.argument.within, number)
        return job


def filled(blank: Any, within: tuple[int, ...], number: float) -> Any:
    """The number, in a list where it stands in one."""
    if not within:
        return number
    first, *rest = within
    value = list(blank)
    value[first] = filled(blank[first], tuple(rest), number)
    return value


def places() -> dict[Argument, Place]:
    """A place of every argument."""
    found: dict[Argument, Place] = {}
    for base in BASES:
        spec = check({**base, "iterations": 3}).spec
        job = spec.model_dump(mode="json")
        for steps, section in sections(spec, ()):
            for argument, blank in arguments(type(section)):
                found.setdefault(argument, Place(argument, steps, blank, job))
    return found


def sections(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[Any, Section]]:
    """The parts of a specification, and where they stand."""
    if isinstance(value, Section):
        yield steps, value
        for name in type(value).model_fields:
            yield from sections(getattr(value, name), (*steps, name))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from sections(item, (*steps, i))


def models() -> set[type[BaseModel]]:
    """Every model that a specification may hold."""
    found: set[type[BaseModel]] = set()
    waiting: list[type[BaseModel]] = [JobSpec]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            for field in model.model_fields.values():
                waiting += models_in(field.annotation)
    return found


def arguments(model: type[BaseModel]) -> Iterator[tuple[Argument, Any]]:
    """The arguments of a model that take numbers, with their blanks."""
    schema = model.model_json_schema()
    own = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    for name, value in own["properties"].items():
        for within, kind, blank in numbers(value):
            yield Argument(model.__name__, name, within, kind), blank


def numbers(schema: Schema) -> Iterator[tuple[tuple[int, ...], Kind, Any]]:
    """The numbers of a value, where they stand in it, and what stands beside them."""
    for other in schema.get("anyOf", ()):
        yield from numbers(other)
    if schema.get("type") in ("number", "integer"):
        yield (), schema["type"], None
    if schema.get("type") == "array":
        # Of a list of any length a pair: two classes have two weights.
        items = schema.get("prefixItems") or [schema.get("items", {})] * 2
        beside = [1 if item.get("type") == "integer" else 0.5 for item in items]
        for i, item in enumerate(items):
            for within, kind, blank in numbers(item):
                yield (i, *within), kind, [*beside[:i], blank, *beside[i + 1 :]]
