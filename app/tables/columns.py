"""Column types that tables share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import JSON, REAL, Dialect, LargeBinary
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

Floats = NDArray[np.float32]

FLOAT4_OID, FLOAT4_ARRAY_OID = 700, 1021


def Json(*, none_as_null: bool = False) -> TypeEngine[Any]:  # noqa: N802 -- reads as the type it is
    """JSON; binary on PostgreSQL."""
    return JSON(none_as_null=none_as_null).with_variant(
        JSONB(none_as_null=none_as_null), "postgresql"
    )


class FloatArray(TypeDecorator[Floats]):
    """float32 values: ``real[]`` on PostgreSQL (readable in SQL), little-endian bytes on SQLite."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column's type on each database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Real4Array())
        return dialect.type_descriptor(LargeBinary())

    def process_bind_param(self, value: Floats | None, dialect: Dialect) -> Any:
        """PostgreSQL takes the array itself (``ArrayDumper``)."""
        if value is None or dialect.name == "postgresql":
            return value
        return value.astype("<f4").tobytes()

    def process_result_value(self, value: Any, dialect: Dialect) -> Floats | None:
        """float32 again, whatever the driver made of it; bits are kept."""
        if value is None:
            return None
        if isinstance(value, bytes):
            return np.frombuffer(value, dtype="<f4").astype(np.float32)
        return np.array(value, dtype=np.float32)


class Real4Array(ARRAY[float]):
    """``real[]`` whose values are handed to the driver as they are."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(REAL)

    def bind_processor(self, dialect: Dialect) -> None:
        """No conversion an element: numpy builds the whole message."""
        return

    def bind_expression(self, bindvalue: Any) -> None:
        """No cast either: the message carries its type."""
        return


class ArrayDumper(Dumper):
    """A float32 array in PostgreSQL's binary array format, built by numpy in one go."""

    format = Format.BINARY
    oid = FLOAT4_ARRAY_OID

    def dump(self, obj: Floats) -> bytes:
        """Header (1 dimension, no nulls, element type, length, lower bound), then length and value
        of each element, all big-endian."""
        header = np.array([1, 0, FLOAT4_OID, len(obj), 1], dtype=">i4")
        elements = np.empty(len(obj), dtype=[("length", ">i4"), ("value", ">f4")])
        elements["length"], elements["value"] = 4, obj
        return header.tobytes() + elements.tobytes()


adapters.register_dumper(np.ndarray, ArrayDumper)
