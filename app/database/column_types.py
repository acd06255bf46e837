"""Column types that tables share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import ColumnElement, Dialect, LargeBinary, String, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

Floats = NDArray[np.float32]
Marks = NDArray[np.void]
MARK = np.dtype([("iteration", "<i4"), ("value", "<f4")])

FLOAT4_OID, FLOAT4_ARRAY_OID = 700, 1021
HEADER_BYTES = 20
ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])


class entry(FunctionElement[str]):  # noqa: N801 -- reads as the SQL function it is
    """The text under a key of a JSON object; both are parameters, so a key may be any text."""

    type = String()
    inherit_cache = True

    def __init__(self, column: Any, key: str) -> None:
        super().__init__(column, key)


@compiles(entry, "postgresql")
def entry_on_postgresql(element: entry, compiler: SQLCompiler, **kw: Any) -> str:
    """An operator."""
    column, key = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({column} ->> {key})"


@compiles(entry, "sqlite")
def entry_on_sqlite(element: entry, compiler: SQLCompiler, **kw: Any) -> str:
    """Not a JSON path: a key with a quotation mark in it would end one."""
    column, key = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"(SELECT value FROM json_each({column}) WHERE json_each.key = {key})"  # noqa: S608 -- names of a column and a parameter


class head(FunctionElement[Floats]):  # noqa: N801 -- reads as the SQL function it is
    """The first so many values of an array; all of it, where there are no more."""

    inherit_cache = True

    def __init__(self, values: Any, count: Any) -> None:
        super().__init__(values, count)


@compiles(head, "postgresql")
def head_on_postgresql(element: head, compiler: SQLCompiler, **kw: Any) -> str:
    """A slice."""
    values, count = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({values})[1:{count}]"


@compiles(head, "sqlite")
def head_on_sqlite(element: head, compiler: SQLCompiler, **kw: Any) -> str:
    """Four bytes each."""
    values, count = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"substr({values}, 1, 4 * ({count}))"


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
        """float32 again, to the bit; on PostgreSQL ``Real4Array`` has seen to it."""
        if value is None or isinstance(value, np.ndarray):
            return value
        return np.frombuffer(value, dtype="<f4").astype(np.float32)


class Pairs(TypeDecorator[Marks]):
    """Iterations with their values, as they lie in memory: little-endian, eight bytes a pair."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Marks | None, dialect: Dialect) -> bytes | None:
        """The bytes."""
        return None if value is None else value.astype(MARK).tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Marks | None:
        """Read in place."""
        return None if value is None else np.frombuffer(value, dtype=MARK)


class Real4Array(UserDefinedType[Any]):
    """``real[]`` in PostgreSQL's binary format, both ways: as text every NaN would be the same.

    Not SQLAlchemy's ARRAY: its drivers replace a subclass by their own, with lists of floats.
    """

    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        """As ARRAY(REAL) calls it."""
        return "REAL[]"

    def column_expression(self, colexpr: ColumnElement[Any]) -> ColumnElement[Any]:
        """The driver asks for text; the server's own function gives the binary form."""
        return func.array_send(colexpr, type_=self)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[bytes], Floats]:
        """From that form."""
        return received


class ArrayDumper(Dumper):
    """A float32 array in PostgreSQL's binary array format, built by numpy in one go."""

    format = Format.BINARY
    oid = FLOAT4_ARRAY_OID

    def dump(self, obj: Floats) -> bytes:
        """Header (1 dimension, no nulls, element type, length, lower bound), then length and value
        of each element, all big-endian."""
        header = np.array([1, 0, FLOAT4_OID, len(obj), 1], dtype=">i4")
        elements = np.empty(len(obj), dtype=ELEMENT)
        elements["length"], elements["value"] = 4, obj
        return header.tobytes() + elements.tobytes()


def received(message: bytes) -> Floats:
    """What ``ArrayDumper`` made of an array; an empty one has a shorter header, and no more."""
    elements = np.frombuffer(message[HEADER_BYTES:], dtype=ELEMENT)
    return elements["value"].astype(np.float32)


adapters.register_dumper(np.ndarray, ArrayDumper)
