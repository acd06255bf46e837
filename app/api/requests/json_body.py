"""What a client sends: JSON, decoded, with nothing in it that could not be kept."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from app.api.requests.content_negotiation import JSON
from app.errors import Invalid, WrongMediaType
from training.spec.mistakes import MAX_LISTED_COUNT, Mistake, escaped, translate

Model = TypeVar("Model", bound=BaseModel)

ESCAPES = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)
"""Only an escape can bring into JSON what ``UNKEPT`` finds; a body without one is not searched."""
UNKEPT = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL keeps no NUL, and half a surrogate pair is no character at all."""

REFERENCE = "#/components/schemas/{model}"
"""Where OpenAPI keeps what several routes refer to."""
BODIES: dict[str, type[BaseModel]] = {}
"""The models of every body that a route describes, by name."""


MAX_INLINE_BODY_BYTES = 1 << 15
"""Bytes that are decoded at once; more is decoded by a thread, and by two at a time."""
LARGE = CapacityLimiter(2)
MAX_CONTAINER_COUNT = 250_000
"""Lists and objects of a body: each takes 64 bytes and more of memory where two were sent."""
MAX_DIGIT_COUNT = 4300
"""Of a whole number; Python's own limit, for the time grows with the square."""
SUSPECT_DEPTH_LEVELS = 900
"""Levels that are surely too many, or nearly: where a mistake is pointed at."""

WHOLE_NUMBER = re.compile(rb"\d{%d,}" % (MAX_DIGIT_COUNT + 1))
STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]')
MAX_SEARCHED_BYTES = 1_000_000
"""Bytes in which a place is looked for."""


class Doubled(dict[str, Any]):
    """An object that gave a name more than once; what was meant, nobody knows."""

    names: tuple[str, ...] = ()


async def json_body(request: Request) -> AsyncIterator[Any]:
    """The decoded body, until the route has ended. NaN and Infinity are let through: validation
    can point at them."""
    must_be_json(request.headers.get("content-type", ""))
    body = await request.body()
    if len(body) <= MAX_INLINE_BODY_BYTES:
        yield decoded(body)
        return
    async with LARGE:  # what a large body becomes may be ten times as large
        yield await to_thread.run_sync(decoded, body)


def must_be_json(declared: str) -> None:
    """Raises ``WrongMediaType``."""
    if declared != JSON and declared.partition(";")[0].strip().lower() != JSON:
        raise WrongMediaType(f"the body must be sent as {JSON}")


def decoded(body: bytes) -> Any:
    """The document that a body holds; raises ``Invalid``."""
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINER_COUNT:
        raise unreadable(
            f"holds more than {MAX_CONTAINER_COUNT} lists and objects", "limit_exceeded"
        )
    doubled: list[Doubled] = []

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) == len(pairs):
            return document
        counts = Counter(name for name, _ in pairs)
        twice = Doubled(document)
        twice.names = tuple(name for name, count in counts.items() if count > 1)
        doubled.append(twice)
        return twice

    # Functions of Python between the numbers let other threads have their turn.
    decoder = json.JSONDecoder(
        object_pairs_hook=made, parse_int=lambda t: int(t), parse_float=lambda t: float(t)
    )
    try:
        document = decoder.decode(body.decode())
    except json.JSONDecodeError as error:
        raise unreadable(f"cannot be read as JSON at character {error.pos}") from error
    except (ValueError, RecursionError) as error:
        raise unreadable(f"cannot be read as JSON{why_not(body, error)}") from error
    if ESCAPES.search(body) and (found := list(islice(unkept(document), MAX_LISTED_COUNT))):
        raise Invalid("the body holds characters that cannot be kept", found)
    if doubled:
        raise Invalid(
            "the body gives names twice", list(islice(given_twice(document), MAX_LISTED_COUNT))
        )
    return document


def unreadable(sentence: str, code: str = "invalid_json") -> Invalid:
    """The whole body is the mistake."""
    return Invalid("the body is not JSON", [Mistake("", code, sentence)], code="invalid_json")


def why_not(body: bytes, error: Exception) -> str:
    """What no decoder says: where it is too deep, or holds too long a number."""
    if isinstance(error, UnicodeDecodeError):
        return f": it is not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        at = too_deep(body)
        place = f" at character {at}" if at is not None else ""
        return f"{place}: lists and objects are nested too deeply"
    number = WHOLE_NUMBER.search(body)
    place = f" at character {number.start()}" if number else ""
    return f"{place}: a whole number has more than {MAX_DIGIT_COUNT} digits"


def too_deep(body: bytes) -> int | None:
    """Where the nesting passes what can be read."""
    depth = 0
    for found in STRUCTURE.finditer(body, 0, MAX_SEARCHED_BYTES):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
        if depth > SUSPECT_DEPTH_LEVELS:
            return found.start()
    return None


def unkept(document: Any) -> Iterator[Mistake]:
    """Every string that could not be stored."""
    for steps, value in walk(document):
        if isinstance(value, str) and UNKEPT.search(value):
            sentence = "must not hold NUL or half a character"
            yield Mistake(pointer(steps), "unsupported_character", sentence)
        elif isinstance(value, dict) and any(UNKEPT.search(name) for name in value):
            sentence = "has a name that holds NUL or half a character"
            yield Mistake(pointer(steps), "unsupported_character", sentence)


def given_twice(document: Any) -> Iterator[Mistake]:
    """Every name that an object gave more than once."""
    for steps, value in walk(document):
        if isinstance(value, Doubled):
            for name in value.names:
                at = pointer([*steps, name])
                yield Mistake(at, "duplicate_name", f"`{name[:80]}` is given more than once")


def walk(document: Any) -> Iterator[tuple[list[str | int], Any]]:
    """Every string, list and object with the steps that lead to it; a loop, for JSON may be as deep
    as the stack, and one that holds no more than one place of each level, for it may be wide.

    What stands under a name that cannot be said is left out.
    """
    yield [], document
    steps: list[str | int] = []
    levels = [entries(document)]
    while levels:
        for step, value in levels[-1]:
            if not isinstance(value, str | list | dict):
                continue
            steps.append(step)
            yield steps, value
            if not isinstance(value, str):
                levels.append(entries(value))
                break
            steps.pop()
        else:
            levels.pop()
            if steps:
                steps.pop()


def entries(value: Any) -> Iterator[tuple[str | int, Any]]:
    """What stands directly in a list or an object."""
    if isinstance(value, list):
        return iter(enumerate(value))
    if isinstance(value, dict):
        return ((name, item) for name, item in value.items() if not UNKEPT.search(name))
    return iter(())


def pointer(steps: Iterable[str | int]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join(f"/{escaped(str(step))}" for step in steps)


def read(body: Any, model: type[Model]) -> Model:
    """The body as a document of ours; raises ``Invalid`` with every mistake."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = translate(error, model, body)
        raise Invalid("the request has mistakes", found) from error


def described(model: type[BaseModel], **examples: Any) -> dict[str, Any]:
    """What OpenAPI says about a body that is read here: its form, and bodies that work."""
    BODIES[model.__name__] = model
    content: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


# Function scope: a large body is let go before the answer is sent.
Body = Annotated[Any, Depends(json_body, scope="function")]
