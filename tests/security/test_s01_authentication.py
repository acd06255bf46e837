"""S1: no route is left outside authentication, whatever the method, whatever is sent."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.app.api.test_authentication import PUBLIC
from tests.app.conftest import Connect, new_key
from tests.app.talk import problem
from tests.service import Service

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"),
    *("PROPFIND", "SEARCH", "PURGE"),
)
NOWHERE = (
    *("/", "/v1", "/v1/", "/v2", "/admin", "/v1/jobs/", "//v1/jobs", "//healthz", "/healthz/"),
    *("/healthz/../v1/jobs", "/docs/../v1/jobs", "/%2fhealthz", "/healthz%00", "/HEALTHZ"),
    *("/openapi.json/", "/docs/a/b", "/v1/jobs;/healthz", "/healthz/v1/jobs"),
)


def strangers(service: Service, connect: Connect) -> Iterator[httpx2.Client]:
    """With no key, and with some that open nothing."""
    ended = datetime.now(UTC) - timedelta(seconds=1)
    revoked = new_key(service)
    named = service.http.delete(f"/v1/keys/key_{revoked.split('_')[1]}")
    assert named.status_code == 204
    yield connect(service)
    yield connect(service, f"fl_{'0' * 26}_{'A' * 43}")
    yield connect(service, new_key(service, expires_at=ended))
    yield connect(service, revoked)


def refused(client: httpx2.Client, method: str, path: str) -> bool:
    answer = client.request(method, path, content=b"{}")
    if answer.status_code != 401:
        return False
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    if method != "HEAD":
        problem(answer, 401, "unauthenticated")
    return True


def test_every_method_of_every_route_is_closed_but_for_a_named_list(
    operations: frozenset[str], api: Service, connect: Connect
) -> None:
    paths = {operation.split(" ", 1)[1] for operation in operations}
    public = {operation.split(" ", 1)[1] for operation in PUBLIC}
    for client in strangers(api, connect):
        for path in sorted(paths - public):
            concrete = re.sub(r"\{[^}]*\}", "1", path)
            open_to = [m for m in METHODS if not refused(client, m, concrete)]
            assert open_to == [], path


@pytest.mark.parametrize("path", NOWHERE)
def test_where_there_is_nothing_a_stranger_learns_nothing(
    path: str, api: Service, connect: Connect
) -> None:
    stranger = connect(api)
    url = httpx2.URL(api.url + "/")
    for method in ("GET", "POST", "DELETE"):
        raw = url.copy_with(raw_path=path.encode())
        answer = stranger.request(method, raw)
        assert answer.status_code == 401, (method, path)


def test_no_route_hides_behind_another_protocol(api: Service, connect: Connect) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for path in ("/v1/jobs", "/"):
        assert connect(api).get(path, headers=upgrade).status_code == 401
