"""What documents are made of."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

Number = float | Literal["NaN", "Infinity", "-Infinity"]


Time = Annotated[
    datetime,
    PlainSerializer(lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.") + f"{t.microsecond // 1000:03d}Z"),
]
"""RFC 3339, UTC, milliseconds."""


class Document(BaseModel):
    """Answers hold exactly what is declared."""

    model_config = ConfigDict(extra="forbid")
