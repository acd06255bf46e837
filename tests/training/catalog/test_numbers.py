"""Whatever number is accepted is the same to a worker: no argument of any word is forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.places import Place, arguments, models, places
from tests.training.small_jobs import ready, trained
from training.catalog.numbers import FLOAT32, FLOAT64, FloatFormat
from training.spec.job_spec import JobSpec
from training.spec.mistakes import Mistake, Mistakes
from training.spec.plan import Plan
from training.validation.check import UNLIMITED, check

PLACES = places()
NUMBERS = [place for argument, place in PLACES.items() if argument.kind == "number"]
INTEGERS = [place for argument, place in PLACES.items() if argument.kind == "integer"]
COMPARED = {
    *("/split/validation", "/split/test", "/early_stopping/min_delta", "/convergence/tolerance"),
    *("/time_limit_seconds", "/checkpoint_every_seconds"),
}
"""What no tensor ever meets."""
TENSORS = [place for place in NUMBERS if place.field not in COMPARED]

BEYOND_FLOAT64 = (1e-320, 5e-324, 10**400)
BEYOND_FLOAT32 = (1e300, 1e39, 1.000001 * FLOAT32.largest, 0.999999 * FLOAT32.smallest, 1e-300)
HELD = (FLOAT32.smallest, FLOAT32.largest)
HELD_BY_FLOAT64 = (FLOAT64.smallest, FLOAT64.largest)


def named(place: Place) -> str:
    """For the names of tests."""
    return ".".join(str(part) for part in (*place.argument[:2], *place.argument.within))


def both_signs(sizes: tuple[float, ...]) -> list[float]:
    """The numbers of these sizes. (A product would be 0 for some, where denormals are flushed.)"""
    return [number for size in sizes for number in (size, -size)]


@contextmanager
def at_the_door() -> Iterator[None]:
    """As in a process of the API, which flushes no denormals; a worker does, and so do these
    tests."""
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(True)


def submitted(raw: Any) -> Plan | list[Mistake]:
    """What the API says."""
    with at_the_door():
        try:
            return check(raw)
        except Mistakes as refused:
            return list(refused.mistakes)


def pointed_at(place: Place, answer: Plan | list[Mistake]) -> list[Mistake]:
    """The mistakes there, of which there has to be one."""
    assert isinstance(answer, list), "it was accepted"
    found = [m for m in answer if f"{m.pointer}/".startswith(f"{place.field}/")]
    assert found, answer
    return found


def test_every_argument_that_takes_a_number_is_tried() -> None:
    assert set(PLACES) == {found for model in models() for found, _ in arguments(model)}
    assert len(NUMBERS) > 60
    assert len(INTEGERS) > 40


def formats(schema: Any, above: FloatFormat | None, at: str) -> Iterator[tuple[str, Any]]:
    """Every number of pydantic's own schema, by model and field, with the format that marks it."""
    if isinstance(schema, list | tuple):
        for item in schema:
            yield from formats(item, above, at)
    if not isinstance(schema, dict):
        return
    function = schema.get("function")
    marking = (
        getattr(function.get("function"), "__self__", None) if isinstance(function, dict) else None
    )
    here = marking if isinstance(marking, FloatFormat) else above
    if schema.get("type") == "float":
        yield at, here
    elif schema.get("type") == "model-fields":
        for name, field in schema["fields"].items():
            yield from formats(field, here, f"{schema['model_name']}.{name}")
    else:
        yield from formats(list(schema.values()), here, at)


def test_every_number_is_marked_by_the_format_that_it_is_computed_in() -> None:
    found = list(formats(JobSpec.__pydantic_core_schema__, None, ""))
    assert len(found) > 60
    assert [at for at, marked in found if marked is None] == []
    compared = {at.rpartition(".")[2] for at, marked in found if marked is FLOAT64}
    assert compared == {field.rpartition("/")[2] for field in COMPARED}


@pytest.mark.parametrize("place", NUMBERS, ids=named)
def test_a_number_that_is_not_held_is_refused_where_it_stands(place: Place) -> None:
    sizes = BEYOND_FLOAT64 + BEYOND_FLOAT32 if place in TENSORS else BEYOND_FLOAT64
    for number in both_signs(sizes):
        raw = place.holding(number)
        for mistake in pointed_at(place, submitted(raw)):
            assert mistake.code == "out_of_range"
        with pytest.raises(Mistakes):  # by a worker too, where a comparison takes some for 0
            check(raw, UNLIMITED)


@pytest.mark.parametrize("place", INTEGERS, ids=named)
def test_a_number_that_is_not_whole_is_refused_where_a_whole_one_is_wanted(place: Place) -> None:
    for number in (1e300, 5e-324, 10**400, -(10**400)):
        assert pointed_at(place, submitted(place.holding(number)))


@pytest.mark.parametrize("place", NUMBERS, ids=named)
def test_a_number_at_a_bound_is_refused_at_once_or_the_same_to_a_worker(place: Place) -> None:
    sizes = HELD if place in TENSORS else HELD + HELD_BY_FLOAT64
    for number in both_signs(sizes):
        answer = submitted(place.holding(number))
        if isinstance(answer, Plan):
            stored = answer.spec.model_dump(mode="json")
            assert check(stored, UNLIMITED) == answer
            for fuse in ("auto", "never"):
                assert trained(ready({**stored, "fuse": fuse})).outcome.reason
        else:
            assert pointed_at(place, answer)


def test_a_word_takes_all_that_float32_holds_and_nothing_else() -> None:
    info = np.finfo(np.float32)
    assert (FLOAT32.smallest, FLOAT32.largest) == (float(info.smallest_normal), float(info.max))
    for text, bound in (
        (FLOAT32.smallest_text, FLOAT32.smallest),
        (FLOAT64.smallest_text, FLOAT64.smallest),
    ):
        assert bound <= float(text) < 1.01 * bound
    for text, bound in (
        (FLOAT32.largest_text, FLOAT32.largest),
        (FLOAT64.largest_text, FLOAT64.largest),
    ):
        assert 0.99 * bound < float(text) <= bound


SAID = {
    1e300: "must be at most 3.40e+38 in size: float32 holds no more",
    -1e39: "must be at most 3.40e+38 in size: float32 holds no more",
    10**400: "must be at most 3.40e+38 in size: float32 holds no more",
    1e-39: "is too near to 0: the smallest size that float32 computes with is 1.18e-38",
    -5e-324: "is too near to 0: the smallest size that float32 computes with is 1.18e-38",
}


@pytest.mark.parametrize("number", SAID)
def test_what_is_wrong_with_a_number_is_told_in_a_sentence(number: float) -> None:
    (place,) = [place for place in NUMBERS if place.argument[:2] == ("Elu", "alpha")]
    assert submitted(place.holding(number)) == [
        (place.field, "out_of_range", SAID[number]),
    ]
