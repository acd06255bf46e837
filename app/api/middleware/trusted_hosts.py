"""Is a request meant for us, and does one of our own pages ask?

A page anywhere can bend a name of its own to a loopback address and then speak with a service that
only listens there (DNS rebinding): its requests name a ``Host`` that is not ours. A page of another
origin is named by ``Origin``.
"""

import ipaddress
import re

from app.api.asgi_types import Scope
from app.config import Settings, is_loopback
from app.errors import ForeignOrigin, UnknownHost

HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.IGNORECASE)

MAX_HOST_COUNT = 100
"""Values of ``Host`` that are known to be ours."""


class TrustedHosts:
    """The names under which the service is asked, and the origins that may ask it."""

    def __init__(self, settings: Settings) -> None:
        self.names = {settings.host.lower(), *settings.allowed_hosts}
        self.origins = settings.allowed_origins
        # Whoever can name our address as a number has bent no name to it.
        self.any_number = settings.host in ("0.0.0.0", "::")  # noqa: S104 -- compared, not bound
        self.known = set[bytes]()

    def check(self, scope: Scope) -> None:
        """Raises ``UnknownHost`` or ``ForeignOrigin``."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if origins or len(hosts) != 1 or hosts[0] not in self.known:
            self.look([str(h, "latin-1") for h in hosts], [str(o, "latin-1") for o in origins])
            if len(self.known) < MAX_HOST_COUNT:  # those that a wildcard lets in may be many
                self.known.add(hosts[0])

    def look(self, hosts: list[str], origins: list[str]) -> None:
        """The same for what is not known to be right."""
        match = HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise UnknownHost("the request has to name its host, once: `Host: <name>`")
        name = match["name"].lower().strip("[]").removesuffix(".")
        if not self.is_ours(name):
            raise UnknownHost(
                f"`{name[:100]}` is no name of this service; FALLLINE_ALLOWED_HOSTS adds one"
            )
        for origin in origins:
            if origin not in self.origins and origin.partition("://")[2] != hosts[0]:
                raise ForeignOrigin(
                    "a page of another origin asks; FALLLINE_ALLOWED_ORIGINS adds one"
                )

    def is_ours(self, name: str) -> bool:
        """Whether a name means this service."""
        if name in self.names or is_loopback(name):
            return True
        if self.any_number and is_number(name):
            return True
        return any(k.startswith("*.") and name.endswith(k[1:]) for k in self.names)


def is_number(name: str) -> bool:
    """Whether a host is an address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
