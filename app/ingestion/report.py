"""What a file was found to be, as documents."""

from typing import Any

from app.ingestion.array_writer import Written
from app.ingestion.column_profile import Profile
from app.ingestion.column_roles import Reading

COMMA = "its numbers were read with a decimal comma"


def schema(reading: Reading) -> dict[str, Any]:
    """Every column in the order of the file: what it is, and what becomes of it."""
    table = reading.table
    widths = {column.name: column.width for column in table.columns}
    columns = []
    for name in reading.dialect.names:
        profile = reading.profiles[name]
        role = "target" if name == table.target else "feature" if name in widths else "ignored"
        columns.append(
            {
                "name": name,
                "role": role,
                "kind": kind(profile),
                "categories": categories(reading, name, role),
                "missing": profile.missing > 0,
                "inputs": widths.get(name, 0),
                "note": reading.notes.get(name) or (COMMA if comma(profile) else None),
            }
        )
    return {"columns": columns, "inputs": sum(widths.values())}


def kind(profile: Profile) -> str:
    """What a column was found to hold."""
    if profile.present == 0:
        return "empty"
    if profile.numeric:
        return "numeric"
    if profile.boolean:
        return "boolean"
    return "text" if profile.many else "categorical"


def categories(reading: Reading, name: str, role: str) -> list[int | str] | None:
    """The categories of a feature, the classes of the target, or nothing."""
    if role == "target":
        return list(reading.table.labels) or None
    if role == "ignored" or reading.profiles[name].numeric:
        return None
    return list(reading.profiles[name].categories())


def statistics(reading: Reading, written: Written) -> dict[str, Any]:
    """What is in the columns, how the classes are balanced, how many rows are there twice."""
    table = reading.table
    counts = zip(table.labels, table.counts, strict=True)
    kept = {column.name for column in table.columns} | {table.target}
    return {
        "columns": {
            name: profile.statistics(categorical=not profile.numeric and name in kept)
            for name, profile in reading.profiles.items()
        },
        "classes": {str(label): count for label, count in counts} or None,
        "duplicate_rows": written.duplicates,
        "rows_without_target": reading.without_target,
    }


def comma(profile: Profile) -> bool:
    """Whether a column's numbers were read with a decimal comma."""
    return profile.numeric and profile.decimal == ","


def source(reading: Reading, size: int, sha256: str) -> dict[str, Any]:
    """What was received, and how it was read."""
    dialect = reading.dialect
    return {
        "bytes": size,
        "sha256": sha256,
        "encoding": dialect.encoding,
        "delimiter": dialect.delimiter,
        "quote": dialect.quote,
        "header": dialect.header,
        "decimal": "," if any(map(comma, reading.profiles.values())) else ".",
    }
