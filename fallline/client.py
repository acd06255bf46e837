"""The clients: one object, its nouns as attributes. `Client` blocks, `AsyncClient` is awaited."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from fallline import environment
from fallline.http.blocking_client import HttpBackend, SyncBackend
from fallline.http.request import Request
from fallline.http.retries import USUAL, Retries
from fallline.http.sync_async import Async, Blocking, M, Resource, dual_method, run
from fallline.http.transport import Transport, options
from fallline.resources.catalog import Catalog
from fallline.resources.datasets import Datasets
from fallline.resources.jobs import Jobs
from fallline.resources.keys import Keys, Tenants
from fallline.resources.models import Models
from fallline.types import part

# A request for an iteration may be held for 10 s before the service answers 202.
TIMEOUT_SECONDS = 30.0


class Service(Resource[M]):
    """What both clients have: the nouns of a service, and whether it is ready."""

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._http.url

    @property
    def jobs(self) -> Jobs[M]:
        """Training jobs."""
        return Jobs(self._http)

    @property
    def datasets(self) -> Datasets[M]:
        """Uploaded data."""
        return Datasets(self._http)

    @property
    def models(self) -> Models[M]:
        """Trained models."""
        return Models(self._http)

    @property
    def catalog(self) -> Catalog[M]:
        """The words of a specification."""
        return Catalog(self._http)

    @property
    def keys(self) -> Keys[M]:
        """Keys, for a key that may make others."""
        return Keys(self._http)

    @property
    def tenants(self) -> Tenants[M]:
        """Tenants, for the same."""
        return Tenants(self._http)

    @dual_method
    async def alive(self) -> bool:
        """Whether a process of the service answers; `Unreachable` without one."""
        await self._http.send(Request("GET", "/healthz"))
        return True

    @dual_method
    async def date(self) -> str | None:
        """The time on the clock of the service, as an HTTP date."""
        return (await self._http.send(Request("GET", "/healthz"))).headers.get("Date")

    @dual_method
    async def ready(self) -> bool:
        """Whether database, broker and a worker answer; `Unreachable` without a service."""
        checks = await self._checks()
        return set(checks.values()) <= {"ok"}

    @dual_method
    async def checks(self) -> dict[str, str]:
        """Each part that the service needs: `ok`, or what is the matter with it."""
        return await self._checks()

    async def _checks(self) -> dict[str, str]:
        with self._http.told():
            response = await self._http.wire.send(Request("GET", "/readyz"))
        if response.status_code not in {200, 503}:
            raise self._http.problem(response)
        return dict(part(self._http.read(response), "checks"))


class Client(Service[Blocking]):
    """A connection to a Fallline service; use it in a `with` block.

    `url` defaults to FALLLINE_URL, else to FALLLINE_HOST and FALLLINE_PORT; `key` to
    FALLLINE_API_KEY, else to the file `key` in FALLLINE_HOME. A request that gets no answer, or the
    answer "not now", is repeated up to `retries` times (or as `Retries` say).
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: int | Retries = USUAL,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(connected(SyncBackend, url, key, retries, timeout))

    def close(self) -> None:
        """Close the connection."""
        run(self._http.wire.close())

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(Service[Async]):
    """`Client` for asyncio: use it in an `async with` block, and await what it is asked."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retries: int | Retries = USUAL,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        # Here alone: it imports asyncio, which the command line does without.
        from fallline.http.asyncio_client import AsyncBackend

        super().__init__(connected(AsyncBackend, url, key, retries, timeout))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.wire.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def connected(
    wire: Callable[..., HttpBackend],
    url: str | None,
    key: str | None,
    retries: int | Retries,
    timeout: float,
) -> Transport:
    """A transport to the service that is given, or that the environment names."""
    url = environment.root(url or environment.url())
    key = key or environment.key()
    return Transport(
        wire(timeout, **options(url, key)),
        url,
        has_key=key is not None,
        retries=Retries(most=retries) if isinstance(retries, int) else retries,
        timeout=timeout,
    )
