"""Many clients at the same moment: they come in turn, and nobody waits for who waits for them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from app.ids import new_id
from tests.app.talk import TINY
from tests.service import Service

CLIENTS = 100
"""More than a process has threads, and connections to the database."""


def test_more_clients_than_threads_change_and_look_at_once(
    own_service: Callable[..., Service],
) -> None:
    service = own_service(workers=0)
    crowd = httpx2.Client(
        base_url=service.url,
        headers=service.http.headers,
        limits=httpx2.Limits(max_connections=CLIENTS),
        trust_env=False,
        timeout=60,
    )

    def ask(number: int) -> int:
        given = {"Idempotency-Key": new_id("crowd")} if number % 2 else {}
        posted = crowd.post("/v1/jobs", json=TINY, headers=given).status_code
        return max(posted, crowd.get("/v1/jobs").status_code)

    with crowd, ThreadPoolExecutor(CLIENTS) as threads:
        assert set(threads.map(ask, range(CLIENTS))) == {202}
