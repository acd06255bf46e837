"""The numbers of a specification that are no whole ones, by the format they are computed in."""

import struct
import sys
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

TRAINED = "trained"
"""The context in which the layers of a trained model are read: their numbers were accepted once."""


@dataclass(frozen=True)
class FloatFormat:
    """Marks a number by the floating-point format that it is computed in, which has to hold it: as
    0, or with a size from ``smallest`` to ``largest``.

    What is smaller but not 0 (denormal) is 0 to a worker, which would then compute something else
    than what was accepted. Stands behind the other bounds, whose sentences are plainer.
    """

    name: str
    smallest: float
    largest: float
    smallest_text: str
    largest_text: str
    """Rounded to what is still held."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(self.checked, handler(source))

    def checked(
        self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> float:
        """The number itself."""
        # Of a whole number of more than 308 digits pydantic would say that it is no number.
        if type(value) is int and abs(value) > sys.float_info.max:
            raise self.too_large()
        number: float = handler(value)
        size = bits_of_size(number)
        if size == 0 or info.context == TRAINED:
            return number
        if size > bits_of_size(self.largest):
            raise self.too_large()
        if size < bits_of_size(self.smallest):
            raise self.too_small()
        return number

    def too_large(self) -> PydanticCustomError:
        """The mistake of a number beyond the format."""
        context = {"format": self.name, "largest": self.largest_text}
        sentence = "must be at most {largest} in size: {format} holds no more"
        return PydanticCustomError("float_format", sentence, context)

    def too_small(self) -> PydanticCustomError:
        """The mistake of a denormal number."""
        context = {"format": self.name, "smallest": self.smallest_text}
        sentence = "is too near to 0: the smallest size that {format} computes with is {smallest}"
        return PydanticCustomError("float_format", sentence, context)


def bits_of_size(number: float) -> int:
    """The bits of |number|, which are ordered as the sizes are.

    Where denormals are flushed, as in a worker, a comparison of numbers would take one for 0.
    """
    return int.from_bytes(struct.pack(">d", abs(number)), "big")


FLOAT32 = FloatFormat("float32", 2.0**-126, (2.0 - 2.0**-23) * 2.0**127, "1.18e-38", "3.40e+38")
"""What tensors are made of, and what they are multiplied by: every number of the catalogue."""
FLOAT64 = FloatFormat("float64", sys.float_info.min, sys.float_info.max, "2.23e-308", "1.79e+308")
"""What is only compared, beside the tensors."""

Number = Annotated[float, FLOAT32]
Positive = Annotated[float, Field(gt=0), FLOAT32]
NotNegative = Annotated[float, Field(ge=0), FLOAT32]
Fraction = Annotated[float, Field(ge=0, le=1), FLOAT32]
BelowOne = Annotated[float, Field(ge=0, lt=1), FLOAT32]
