"""What every word of the catalogue is made of."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Shape = tuple[int, ...]
"""A shape without the batch axis: (features,) or (channels, height, width)."""


INT64 = 2**63 - 1
"""The largest whole number of a specification: what torch, JSON parsers and databases can hold."""


class ShapeError(ValueError):
    """What comes in does not fit the layer; the message says what comes and what is expected."""


class Section(BaseModel):
    """A part of a specification: immutable, and nothing in it is guessed or ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Word(Section):
    """A named choice with arguments; every family has its own subclasses."""

    type: str


def spelled_out(value: Any) -> Any:
    """A bare string stands for ``{"type": string}``."""
    return {"type": value} if isinstance(value, str) else value


SpelledOut = BeforeValidator(spelled_out)


@dataclass(frozen=True)
class Form:
    """The form that a text must have, and the sentence for one that has not."""

    pattern: str
    sentence: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}

    def checked(self, text: str) -> str:
        """The text itself."""
        if re.fullmatch(self.pattern, text) is None:
            raise PydanticCustomError("form", "{sentence}", {"sentence": self.sentence})
        return text


class Buffer(NamedTuple):
    """A tensor that the forward pass updates: running statistics, a counter."""

    shape: Shape
    value: float
    integer: bool = False


def spoken(shape: Shape) -> str:
    """A shape as it is written in messages: ``1×8×8``, ``64``."""
    return "×".join(str(size) for size in shape) or "a single number"
