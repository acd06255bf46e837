"""From a file that was received to a data set that is ready to be kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from app.errors import Invalid
from app.ingestion.dialect import RequestedDialect
from app.ingestion.encoding import BadFile, Bounds, UnknownColumn
from app.services.datasets.dataset_repository import Described
from app.storage import Draft, Stored
from training.spec.mistakes import Mistake


class File(NamedTuple):
    """What was received: the bytes, how many, and their hash."""

    content: IO[bytes]
    size: int
    sha256: str


class Ready(NamedTuple):
    """A data set on the disk, without its row and its place."""

    described: Described
    stored: Stored
    draft: Draft


def prepare(
    draft: Draft, file: File, name: str | None, wishes: RequestedDialect, bounds: Bounds
) -> Ready:
    """Reads a file and writes its arrays."""
    # With Arrow, which takes half a second: imported when the first file comes.
    from app.ingestion import report
    from app.ingestion.array_writer import write
    from app.ingestion.column_roles import read

    with refused():
        reading = read(file.content, wishes, bounds)
        written = write(file.content, reading, bounds, draft.file)
        stored = draft.sealed()
    described = Described(
        name,
        reading.table.target,
        reading.table.rows,
        report.schema(reading),
        report.source(reading, file.size, file.sha256),
        report.statistics(reading, written),
    )
    return Ready(described, stored, draft)


@contextmanager
def refused() -> Iterator[None]:
    """What is wrong with a file, as what is wrong with the request."""
    try:
        yield
    except BadFile as error:
        found = [Mistake("", error.code, str(error))]
        raise Invalid("the file cannot be used", found, code="invalid_file") from error
    except UnknownColumn as error:
        found = [Mistake(f"/{error.parameter}", "unknown_column", str(error))]
        raise Invalid("the file has no such column", found, code="invalid_file") from error
