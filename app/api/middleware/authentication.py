"""What stands before every route: is it meant for us, who asks, and not too often?

One ASGI layer, so that it holds for every method of every path, also for those that do not exist.
"""

import time
from http import HTTPStatus

from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from app.api.asgi_types import App, Message, Receive, Scope, Send, header
from app.api.live.key_cache import STALE_SECONDS, KeyCache
from app.api.middleware.trusted_hosts import TrustedHosts
from app.api.requests.dependencies import KEY_NEEDED, PUBLIC
from app.errors import HeadTooLarge, Unauthenticated
from app.rate_limit import Rates

OPEN = [compile_path(path)[0] for path in PUBLIC]
CLOSED = "/v1/"
"""Nothing under it is public, which is soon seen."""
assert not any(path.startswith(CLOSED) for path in PUBLIC)


class AuthenticationMiddleware:
    """Default-deny: only the public paths are served without a key."""

    def __init__(
        self, app: App, hosts: TrustedHosts, keyring: KeyCache, rates: Rates, most_bytes: int
    ) -> None:
        self.app = app
        self.most_bytes = most_bytes
        self.hosts = hosts
        self.keyring = keyring
        self.rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request in, or raises why not."""
        if scope["type"] == "http":
            if size(scope) > self.most_bytes:
                raise HeadTooLarge(f"the head is larger than {self.most_bytes} bytes")
            self.hosts.check(scope)
            if not is_open(scope["path"]):
                secret = bearer_of(header(scope, b"authorization"))
                principal = await self.keyring.principal(secret)
                scope["state"]["principal"] = principal
                await self.rates.spend(principal.tenant_id)
                if scope["method"] in ("GET", "HEAD"):
                    send = self.watched(secret, send)
        await self.app(scope, receive, send)

    def watched(self, secret: str, send: Send) -> Send:
        """A ``send`` that shows nothing to a key that has ended since the request began: streams
        last for hours. (An answer to a change is sent: the change has been made.)"""
        checked, status = time.monotonic(), 0

        async def watched_send(message: Message) -> None:
            nonlocal checked, status
            begun, status = status, message.get("status", status)
            # A refusal shows nothing, least of all the one that says that the key has ended.
            if status < HTTPStatus.BAD_REQUEST and time.monotonic() - checked > STALE_SECONDS:
                try:
                    await self.keyring.principal(secret)
                except Exception as error:
                    if not begun:
                        raise
                    # Nothing can be said any more but by breaking off; who may comes again.
                    raise ClientDisconnect from error
                checked = time.monotonic()
            await send(message)

        return watched_send


def size(scope: Scope) -> int:
    """Bytes of a request's head: what of it can be long."""
    total = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        total += len(name) + len(value)
    return total


def is_open(path: str) -> bool:
    """Whether a path needs no key."""
    return not path.startswith(CLOSED) and any(pattern.match(path) for pattern in OPEN)


def bearer_of(authorization: str) -> str:
    """The secret that a request brings; raises ``Unauthenticated``."""
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated(KEY_NEEDED)
    return secret.strip()
