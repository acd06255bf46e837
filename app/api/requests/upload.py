"""A file on its way in: streamed to the disk, counted, hashed and looked at as it passes."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import IO, Annotated, Literal, NamedTuple

from anyio import CancelScope, CapacityLimiter, fail_after, to_thread
from fastapi import Depends, Query, Request
from python_multipart.multipart import parse_options_header

from app.api.requests.dependencies import CanTrain, DatabaseDep, SettingsDep, StorageDep
from app.api.requests.idempotency import same
from app.api.requests.multipart import OneFile
from app.config import Settings
from app.database.session import Database
from app.errors import TooSlow, WrongMediaType
from app.ingestion.dialect import RequestedDialect
from app.ingestion.encoding import BadFile, Bounds, Encoding, Watch, compressed, mark
from app.services.datasets.dataset_repository import KIND, forget
from app.services.datasets.upload import File, Ready, prepare, refused
from app.services.tenancy import quotas
from app.storage import Draft, Storage

TABS = "text/tab-separated-values"
TAKEN = ("text/csv", TABS, "application/csv", "multipart/form-data")
CHARSETS: dict[str, Encoding] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16",
    "windows-1252": "cp1252",
    "iso-8859-1": "latin-1",
}
PIECE_BYTES = 1 << 20
"""Bytes that are written at once, by a thread: the disk may be slow."""
READERS = CapacityLimiter(2)
"""Files that are read as tables at the same time; the memory of each is bounded."""
LOCKS = CapacityLimiter(1)


class Options(NamedTuple):
    """What the client says about the file, in the query."""

    target: str
    name: str | None
    delimiter: str | None
    encoding: Encoding | None
    header: bool | None
    ignore: tuple[str, ...]


def options(
    target: Annotated[str, Query(max_length=200, description="The column to be predicted.")],
    name: Annotated[
        str | None, Query(min_length=1, max_length=100, description="Default: its id.")
    ] = None,
    delimiter: Annotated[
        Literal[",", ";", "\t", "|", "tab"] | None, Query(description="Default: detected.")
    ] = None,
    encoding: Annotated[
        Encoding | None,
        Query(description="Default: detected."),
    ] = None,
    header: Annotated[
        bool | None, Query(description="Whether the first line names the columns; detected.")
    ] = None,
    ignore: Annotated[
        list[str] | None, Query(max_length=100, description="Columns that are no features.")
    ] = None,
) -> Options:
    """The query of an upload."""
    delimiter = "\t" if delimiter == "tab" else delimiter
    return Options(target, name, delimiter, encoding, header, tuple(ignore or ()))


async def upload(
    request: Request,
    principal: CanTrain,
    asked: Annotated[Options, Depends(options)],
    settings: SettingsDep,
    storage: StorageDep,
    database: DatabaseDep,
) -> AsyncIterator[Ready]:
    """The file as a data set on the disk, until the transaction that keeps it has ended.

    Resolved before the session, so that no transaction waits for a body.
    """
    await to_thread.run_sync(has_room, database, principal.tenant_id)
    with storage.spool() as spool:
        arrival = Arrival(spool, asked.encoding or charset(request), settings.bounds)
        tabs = await received(request, arrival, settings)
        file = File(spool, arrival.size, arrival.hash.hexdigest())
        # No sooner: what lies about for hours is removed, and some bodies take as long.
        with storage.draft(KIND) as draft:
            work = partial(ready, draft, file, asked, arrival.encoding, settings.bounds, tabs=tabs)
            found = await to_thread.run_sync(work, limiter=READERS)
            same(request, file.sha256)
            async with alone(storage, database, found.stored.location):
                yield found


def has_room(database: Database, tenant_id: str) -> None:
    """Raises ``QuotaExceeded`` before anything is received that could not be kept."""
    with database.session(tenant_id, write=False) as session:
        quotas.keep(session, 0)


def ready(
    draft: Draft,
    file: File,
    asked: Options,
    encoding: Encoding | None,
    bounds: Bounds,
    *,
    tabs: bool,
) -> Ready:
    """The work of a thread."""
    ignore = frozenset(asked.ignore)
    wishes = RequestedDialect(asked.target, asked.delimiter, encoding, asked.header, ignore, tabs)
    return prepare(draft, file, asked.name, wishes, bounds)


@asynccontextmanager
async def alone(storage: Storage, database: Database, location: str) -> AsyncIterator[None]:
    """Nobody else keeps or deletes a data set's file meanwhile; one that was kept for nothing is
    removed.

    The lock is waited for by a thread, one at a time: whoever holds it needs threads, and the loop.
    """
    try:
        lock = await to_thread.run_sync(storage.lock, KIND, limiter=LOCKS)
        with lock:
            yield
    except BaseException:
        with CancelScope(shield=True):
            await to_thread.run_sync(forget, database, storage, location)
        raise


Uploaded = Annotated[Ready, Depends(upload, scope="function")]


class Arrival:
    """What has come of a file."""

    def __init__(self, file: IO[bytes], encoding: Encoding | None, bounds: Bounds) -> None:
        self.file = file
        self.encoding = encoding
        self.watch: Watch | None = Watch(bounds)
        self.size = 0
        self.hash = hashlib.sha256()

    def take(self, piece: bytes) -> None:
        """The next bytes. What they must not be is refused now, not when all of them are here."""
        with refused():
            if self.size == 0:
                if (made_with := compressed(piece)) is not None:
                    raise BadFile("not_text", f"this is a {made_with} file; send it as CSV")
                if "utf-16" in (self.encoding, mark(piece)):
                    self.watch = None  # half of its bytes are NUL; looked at when it is decoded
            if self.watch is not None:
                self.watch.look(piece)
            self.hash.update(piece)
            self.file.write(piece)
            self.size += len(piece)


async def received(request: Request, arrival: Arrival, settings: Settings) -> bool:
    """Streams the body to ``arrival``; whether it is declared as separated by tabs."""
    declared = request.headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    if media_type not in TAKEN:
        raise WrongMediaType(f"a file must be sent as one of {', '.join(TAKEN)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WrongMediaType("the body must not be compressed (Content-Encoding)")
    form = OneFile(declared) if media_type == "multipart/form-data" else None
    waiting = bytearray()
    async for chunk in chunks(request, settings):
        waiting += form.content_in(chunk) if form else chunk
        if len(waiting) >= PIECE_BYTES:
            await to_thread.run_sync(arrival.take, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(arrival.take, bytes(waiting))
    if form is not None:
        form.finish()
    return TABS in (media_type, form and form.media_type)


async def chunks(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it comes; raises ``TooSlow`` when it hardly does."""
    patience, slowest = settings.upload_idle_seconds, settings.upload_bytes_per_second
    stream, began, size = request.stream(), time.monotonic(), 0
    while True:
        try:
            with fail_after(patience):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {patience:g} seconds") from error
        size += len(chunk)
        seconds = time.monotonic() - began
        if seconds > patience and size < slowest * seconds:
            raise TooSlow(f"fewer than {slowest} bytes a second came")
        yield chunk


def charset(request: Request) -> Encoding | None:
    """The encoding that the media type states, if it is one of ours."""
    _, options = parse_options_header(request.headers.get("content-type"))
    return CHARSETS.get(options.get(b"charset", b"").decode("latin-1").lower())
