"""What every word of the catalogue is made of."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Shape = tuple[int, ...]
"""A shape without the batch axis: (features,) or (channels, height, width)."""


MAX_INT64 = 2**63 - 1
"""The largest whole number of a specification: what torch, JSON parsers and databases can hold."""


class ShapeError(ValueError):
    """What comes in does not fit the layer; the message says what comes and what is expected."""


class Section(BaseModel):
    """A part of a specification: immutable, and nothing in it is guessed or ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def named(schema: dict[str, Any]) -> None:
    """A word's JSON Schema: unlike its arguments, its name has to be there."""
    schema["required"] = ["type", *schema.get("required", [])]
    schema["properties"]["type"].pop("default", None)


class Config(Section):
    """A named choice with arguments; every family has its own subclasses."""

    model_config = ConfigDict(json_schema_extra=named)

    type: str


def spelled_out(value: Any) -> Any:
    """A bare string stands for ``{"type": string}``."""
    return {"type": value} if isinstance(value, str) else value


class Bare:
    """Marks a union of words: a bare string stands for a word, and where no argument of that word
    has to be given, the JSON Schema says so."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        words: tuple[type[Config], ...] = get_args(source)
        alone = [w.model_fields["type"].default for w in words if not needs_arguments(w)]
        spelled = handler(source)
        said = core_schema.union_schema([core_schema.literal_schema(alone), spelled])
        return core_schema.no_info_before_validator_function(
            spelled_out, spelled, json_schema_input_schema=said
        )


def needs_arguments(word: type[Config]) -> bool:
    """Whether a word says nothing without its arguments."""
    return any(field.is_required() for field in word.model_fields.values())


SpelledOut = Bare()


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
