"""A file becomes a table: the first reading, by which its columns are known."""

from dataclasses import dataclass
from typing import IO, Any, Literal

from app.ingestion.column_profile import (
    LARGEST,
    MAX_CATEGORY_CHARACTERS,
    Profile,
    present,
    profiles,
)
from app.ingestion.csv_reader import batches, line_of
from app.ingestion.dialect import Dialect, RequestedDialect, dialect, did_you_mean
from app.ingestion.encoding import BadFile, Bounds, UnknownColumn
from training.catalog import Column
from training.datasets.uploaded import Table

MIN_JUDGED_ROWS = 20
"""From so many rows on, a text that is different in most of them is no category."""
COMMAS = (
    "they look like numbers with a decimal comma, which numbers can have where no commas are "
    "between the columns"
)


@dataclass(frozen=True)
class Reading:
    """What a file was found to be. ``rows`` have a target; ``without_target`` are left out."""

    dialect: Dialect
    table: Table
    profiles: dict[str, Profile]
    notes: dict[str, str]
    without_target: int


def read(file: IO[bytes], wishes: RequestedDialect, bounds: Bounds) -> Reading:
    """The first reading; raises ``BadFile`` or ``UnknownColumn``."""
    how = dialect(file, wishes, bounds)
    for parameter, name in [("target", wishes.target), *(("ignore", n) for n in wishes.ignore)]:
        if name not in how.names:
            raise UnknownColumn(parameter, did_you_mean(name, how.names))
    found, rows = profiles(how, bounds), 0
    for batch in batches(file, how, bounds):
        for profile, column in zip(found, batch.columns, strict=True):
            profile.add(present(column), rows)
        rows += batch.num_rows
    if rows == 0:
        raise BadFile("no_rows", "the file has a header and no row")
    by_name = {profile.name: profile for profile in found}
    target = by_name[wishes.target]
    notes = {n: note for n in how.names if (note := why_ignored(by_name[n], wishes, bounds))}
    features = [p for p in found if p is not target and p.name not in notes]
    for profile in [*features, target]:
        if profile.numeric and profile.too_large is not None:
            number = profile.too_large + 1 + how.header
            raise too_large(profile.name, line_of(file, how, bounds, number))
    columns = tuple(column_of(profile) for profile in features)
    check_width(columns, notes, bounds)
    table = Table(target.present, columns, target.name, *target_of(target, bounds))
    return Reading(how, table, by_name, notes, target.missing)


def why_ignored(profile: Profile, wishes: RequestedDialect, bounds: Bounds) -> str | None:
    """Why a column is no feature, as a sentence."""
    if profile.name == wishes.target:
        return None
    if profile.name in wishes.ignore:
        return "ignored as asked for"
    if profile.present == 0:
        return "ignored: every value is missing"
    if profile.numeric:
        return None
    if profile.long:
        return f"ignored: it holds texts of more than {MAX_CATEGORY_CHARACTERS} characters"
    if profile.many or len(profile.categories()) > bounds.categories:
        count = f"over {bounds.classes}" if profile.many else str(len(profile.distinct))
        note = (
            f"ignored: {count} distinct texts are more than the {bounds.categories} that a "
            "category may have"
        )
        return f"{note}; {COMMAS}" if profile.looks_numeric() else note
    if profile.present >= MIN_JUDGED_ROWS and 2 * len(profile.categories()) > profile.present:
        return "ignored: most of its texts are different ones, so they name rows"
    return None


def too_large(name: str, line: int) -> BadFile:
    """The refusal of a number that float32 cannot hold."""
    sentence = f"`{name}` is not a finite number up to {LARGEST:.2e}"
    return BadFile("not_finite", sentence, line=line)


def column_of(profile: Profile) -> Column:
    """A feature: numbers, true and false, or few distinct texts."""
    if profile.numeric:
        return Column(profile.name, "numeric")
    kind: Literal["boolean", "categorical"] = "boolean" if profile.boolean else "categorical"
    return Column(profile.name, kind, tuple(profile.categories()), missing=profile.missing > 0)


def check_width(columns: tuple[Column, ...], notes: dict[str, str], bounds: Bounds) -> None:
    """Whether there is anything to learn from, and not too much."""
    if not columns:
        reason = "; ".join(f"`{name[:80]}` is {note}" for name, note in list(notes.items())[:5])
        raise BadFile("no_features", f"no column but the target can be used. {reason}".strip())
    width = sum(column.width for column in columns)
    if width > bounds.features:
        sentence = f"its columns are {width} inputs, a category each, more than the"
        raise BadFile("too_many_features", f"{sentence} {bounds.features} allowed")


def target_of(
    target: Profile, bounds: Bounds
) -> tuple[bool, tuple[int | str, ...], tuple[int, ...]]:
    """Whether the target is numbers, its classes, and the rows of each class."""
    if target.present == 0:
        raise BadFile("target_missing", f"`{target.name}` has no value in any row")
    if target.numeric and target.low == target.high:
        sentence = f"`{target.name}` is the same in every row: there is nothing to learn"
        raise BadFile("one_class", sentence)
    if target.numeric:
        known: dict[Any, int] = target.integers() if target.whole else {}
        return True, tuple(known), tuple(known.values())
    if target.long:
        sentence = f"`{target.name}` holds texts of more than {MAX_CATEGORY_CHARACTERS} characters"
        raise BadFile("too_many_classes", f"{sentence}: no classes")
    if target.many:
        sentence = f"`{target.name}` has more than {bounds.classes} distinct texts: no classes"
        raise BadFile("too_many_classes", sentence)
    known = target.categories()
    if len(known) < 2:
        sentence = f"`{target.name}` has one class only, `{next(iter(known))[:80]}`"
        raise BadFile("one_class", sentence)
    return False, tuple(known), tuple(known.values())
