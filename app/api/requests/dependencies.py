"""What routes are given: settings, who asks, a session that sees only their rows.

What asks nobody is ``async``: FastAPI would call it in a thread, which costs more than it does.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Query, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.orm import Session

from app.config import Settings
from app.database.session import Database, OpenReadSession
from app.errors import Forbidden, Invalid, NotFound, Unauthenticated
from app.services import idempotency
from app.services.tenancy.keys import Principal
from app.storage import Storage
from training.spec.mistakes import MAX_LISTED_COUNT, Mistake, unknown

T = TypeVar("T")

PUBLIC = frozenset(
    {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/{name}"}
)
"""The only paths that need no key. A new route is closed until it is named here."""

LABELLED = frozenset({("GET", "/v1/jobs")})
"""Routes whose parameters have no fixed names: they look for unknown ones themselves."""

KEY_NEEDED = "a key is needed: `Authorization: Bearer <key>`"
bearer = HTTPBearer(auto_error=False, description="A key of the service")


async def get_settings(request: Request) -> Settings:
    """The settings the application was made with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_database(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


async def get_storage(request: Request) -> Storage:
    """The application's storage."""
    storage: Storage = request.app.state.storage
    return storage


async def get_request_id(request: Request) -> str:
    """The id that the answer carries, and every log line about the request."""
    request_id: str = request.state.request_id
    return request_id


SettingsDep = Annotated[Settings, Depends(get_settings)]
DatabaseDep = Annotated[Database, Depends(get_database)]
StorageDep = Annotated[Storage, Depends(get_storage)]
RequestId = Annotated[str, Depends(get_request_id)]


async def authenticated(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Runs before every route: ``app.api.middleware.authentication`` has found out who asks, or
    the path is public.

    The door stands before the routes, so this holds; were it ever left out, nothing is open.
    """
    if request.scope["route"].path not in PUBLIC and not hasattr(request.state, "principal"):
        raise Unauthenticated(KEY_NEEDED)


async def no_nul(request: Request) -> None:
    """PostgreSQL cannot even look for text with a NUL, so nothing has such a name."""
    if "\0" in request.scope["path"]:
        raise NotFound("there is nothing at this path")
    found = [
        Mistake(f"/{name}", "unsupported_character", "must not hold NUL (query parameter)")
        for name, value in request.query_params.multi_items()
        if "\0" in name + value
    ]
    if found:
        raise Invalid("the request has mistakes", found)


async def known_parameters(request: Request) -> None:
    """A parameter that a route does not take is a mistake, not something to be passed over."""
    route = request.scope["route"]
    if route.path in PUBLIC or (request.method, route.path) in LABELLED:
        return
    known = [*parameters(route.dependant)]
    found = [
        Mistake(f"/{name[:80]}", "unknown_field", f"{not_taken(name, known)} (query parameter)")
        for name in request.query_params
        if name not in known
    ]
    if found:
        raise Invalid("the request has mistakes", found[:MAX_LISTED_COUNT])


def parameters(dependant: Dependant) -> Iterator[str]:
    """The names of the query parameters of a route and of all that it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for below in dependant.dependencies:
        yield from parameters(below)


def not_taken(name: str, known: Sequence[str]) -> str:
    """The sentence for a parameter that there is none of; most routes take none at all."""
    return unknown(name, known) if known else f"`{name[:80]}`: there are no parameters here"


def allowed(scope: str) -> Callable[[Request], Coroutine[Any, Any, Principal]]:
    """A dependency: whoever asks, if the key has the scope."""

    async def principal(request: Request) -> Principal:
        asking: Principal = request.state.principal
        if scope not in asking.scopes:
            raise Forbidden(f"the key lacks the scope `{scope}`")
        return asking

    return principal


CanRead = Annotated[Principal, Depends(allowed("read"))]
CanTrain = Annotated[Principal, Depends(allowed("train"))]
CanPredict = Annotated[Principal, Depends(allowed("predict"))]
CanAdminister = Annotated[Principal, Depends(allowed("admin"))]


WRITERS = CapacityLimiter(10)
READERS = CapacityLimiter(10)
"""Requests in a transaction. Far fewer than there are threads and connections: who is in one needs
a thread to come to its end, and must find one however many wait for what it has locked."""


async def turn_to_write() -> AsyncIterator[None]:
    """Waits for it without a thread."""
    async with WRITERS:
        yield


async def turn_to_read() -> AsyncIterator[None]:
    """Waits for it without a thread."""
    async with READERS:
        yield


ToWrite = Annotated[None, Depends(turn_to_write, scope="function")]
ToRead = Annotated[None, Depends(turn_to_read, scope="function")]


def get_read_session(database: DatabaseDep, principal: CanRead, _: ToRead) -> Iterator[Session]:
    """A transaction that only reads."""
    with database.session(principal.tenant_id, write=False) as session:
        yield session


def get_write_session(
    request: Request, database: DatabaseDep, principal: CanTrain, _: ToWrite
) -> Iterator[Session]:
    """A transaction that commits before the answer leaves."""
    yield from get_upload_session(request, database, principal)


def get_upload_session(
    request: Request, database: DatabaseDep, principal: CanTrain
) -> Iterator[Session]:
    """The same for an upload, which has had its turn: others that have theirs may wait for it."""
    with database.session(principal.tenant_id) as session:
        begin(request, session, principal)
        yield session


class Preflight:
    """What a route reads and reckons before its transaction, which holds others up: in a turn to
    read, and not at all when the request was answered before."""

    def __init__(self, request: Request, database: Database, principal: Principal) -> None:
        self.attempt: idempotency.IdempotentRequest | None = getattr(request.state, "attempt", None)
        self.tenant_id = principal.tenant_id
        self.look: OpenReadSession = partial(database.session, principal.tenant_id, write=False)

    async def __call__(self, work: Callable[[OpenReadSession], T]) -> T:
        """The result of the work, which opens its transactions itself."""
        return await to_thread.run_sync(self.unless_answered, work, limiter=READERS)

    def unless_answered(self, work: Callable[[OpenReadSession], T]) -> T:
        """The same, in a thread."""
        if self.attempt is not None:
            with self.look() as session:
                idempotency.find(session, self.tenant_id, self.attempt)
        return work(self.look)


async def get_preflight(request: Request, database: DatabaseDep, principal: CanTrain) -> Preflight:
    """Given to a dependency that a route names ahead of its session."""
    return Preflight(request, database, principal)


PreflightDep = Annotated[Preflight, Depends(get_preflight)]


def begin(request: Request, session: Session, principal: Principal) -> None:
    """The first thing in every transaction that changes something
    (``app.api.requests.idempotency``)."""
    attempt: idempotency.IdempotentRequest | None = getattr(request.state, "attempt", None)
    if attempt is not None:
        idempotency.begin(session, principal.tenant_id, attempt)


def get_trainer_read_session(
    database: DatabaseDep, principal: CanTrain, _: ToRead
) -> Iterator[Session]:
    """A reading transaction for a key that may train."""
    with database.session(principal.tenant_id, write=False) as session:
        yield session


def get_admin_read_session(
    database: DatabaseDep, _: CanAdminister, __: ToRead
) -> Iterator[Session]:
    """A reading transaction that sees the rows of every tenant."""
    with database.session(write=False) as session:
        yield session


def get_admin_write_session(
    request: Request, database: DatabaseDep, principal: CanAdminister, _: ToWrite
) -> Iterator[Session]:
    """A writing transaction that sees the rows of every tenant."""
    with database.session() as session:
        begin(request, session, principal)
        yield session


# Function scope: the transaction ends before the answer is sent, so a 202 is never false.
ReadSession = Annotated[Session, Depends(get_read_session, scope="function")]
WriteSession = Annotated[Session, Depends(get_write_session, scope="function")]
UploadSession = Annotated[Session, Depends(get_upload_session, scope="function")]
TrainerReadSession = Annotated[Session, Depends(get_trainer_read_session, scope="function")]
AdminReadSession = Annotated[Session, Depends(get_admin_read_session, scope="function")]
AdminWriteSession = Annotated[Session, Depends(get_admin_write_session, scope="function")]

# Of every list.
Limit = Annotated[int, Query(ge=1, le=100, description="Entries a page.")]
After = Annotated[str | None, Query(description="The `next` of the page before.")]
