"""What a client sends: JSON, decoded, with nothing in it that could not be kept."""

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from app.errors import Invalid, WrongMediaType
from training.mistakes import MOST, Mistake, escaped, translate

Model = TypeVar("Model", bound=BaseModel)

ESCAPES = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)
"""Only an escape can bring into JSON what ``UNKEPT`` finds; a body without one is not searched."""
UNKEPT = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL keeps no NUL, and half a surrogate pair is no character at all."""

REFERENCE = "#/components/schemas/{model}"
"""Where OpenAPI keeps what several routes refer to."""
BODIES: dict[str, type[BaseModel]] = {}
"""The models of every body that a route describes, by name."""


async def json_body(request: Request) -> Any:
    """The decoded body. NaN and Infinity are let through: validation can point at them."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise WrongMediaType("the body must be sent as application/json")
    body = await request.body()
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        mistake = Mistake("", "invalid_json", f"cannot be read as JSON{place}")
        raise Invalid("the body is not JSON", [mistake], code="invalid_json") from error
    if ESCAPES.search(body) and (found := list(islice(unkept(document), MOST))):
        raise Invalid("the body holds characters that cannot be kept", found)
    return document


def unkept(document: Any) -> Iterator[Mistake]:
    """Every string that could not be stored; a loop, for JSON may be as deep as the stack."""
    waiting = deque([("", document)])
    while waiting:
        at, value = waiting.popleft()
        if isinstance(value, str) and UNKEPT.search(value):
            yield Mistake(at, "unsupported_character", "must not hold NUL or half a character")
        elif isinstance(value, list):
            waiting += [(f"{at}/{i}", item) for i, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                if UNKEPT.search(key):
                    sentence = "has a name that holds NUL or half a character"
                    yield Mistake(at, "unsupported_character", sentence)
                else:
                    waiting.append((f"{at}/{escaped(key)}", item))


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


Body = Annotated[Any, Depends(json_body)]
