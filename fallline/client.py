"""The client: one object, its nouns as attributes."""

from __future__ import annotations

from types import TracebackType

from fallline import environment
from fallline.errors import ApiError
from fallline.jobs import Jobs
from fallline.models import Models
from fallline.transport import Transport


class Client:
    """A connection to a Fallline service; use it in a `with` block.

    `url` defaults to FALLLINE_HOST and FALLLINE_PORT, `key` to FALLLINE_API_KEY, else to the file
    `key` in FALLLINE_HOME. Not for several threads at once.
    """

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        self._transport = Transport(url or environment.url(), key or environment.key())
        self.jobs = Jobs(self._transport)
        self.models = Models(self._transport)

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._transport.url

    def ready(self) -> bool:
        """Whether database, broker and a worker answer; `Unreachable` without a service."""
        try:
            self._transport.send("GET", "/readyz")
        except ApiError as error:
            if error.status == 503:
                return False
            raise
        return True

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
