"""Two API processes behind a round-robin, one of them killed: nobody misses or repeats anything."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import psutil
import pytest

from tests.app.conftest import Connect
from tests.app.streams import Frame, Listener, entries, holds, opened, points
from tests.app.talk import DIGITS, FOR_EVER, finished, metrics, posted
from tests.roundrobin import round_robin
from tests.servers import eventually
from tests.service import Service

CLIENTS = 6
SERIES = "loss,validation_loss,validation_accuracy"


@pytest.fixture
def two_apis(service: Service, another_api: Connect) -> tuple[httpx2.Client, httpx2.Client]:
    return another_api(), another_api()


def test_with_one_of_two_processes_killed_nothing_is_missed_and_nothing_repeated(
    service: Service, two_apis: tuple[httpx2.Client, httpx2.Client]
) -> None:
    ports = [client.base_url.port for client in two_apis]
    job_id = posted(service, DIGITS, iterations=8_000, evaluate_every=50)
    with ExitStack() as stack:
        url = stack.enter_context(round_robin([port for port in ports if port]))
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        listeners = [Listener(service, url) for _ in range(CLIENTS)]
        for n, listener in enumerate(listeners):
            pool.submit(listener.listen, job_id, 1000 if n % 2 else 7)
        eventually(
            lambda: all(len(points(each.found)) > 100 for each in listeners), "all hear losses", 30
        )
        listening_at(service, ports[0]).kill()
        service.http.patch(f"/v1/jobs/{job_id}", json={"lr": 0.05})
        document = finished(service, job_id)
        pool.shutdown(wait=True)
    whole = metrics(service, job_id, series=SERIES)["series"]
    log = service.http.get(f"/v1/jobs/{job_id}/events").json()["data"]
    assert document["state"] == "succeeded"
    assert any(entry["type"] == "intervention" for entry in log)
    assert sum(each.streams for each in listeners) > CLIENTS + 1
    for each in listeners:
        holds(each.found)
        assert entries(each.found) == log
        for name, series in whole.items():
            known = dict(zip(series["iteration"], series["value"], strict=True))
            assert points(each.found, name) == known
        assert each.found[-1].data == document


def test_a_process_that_is_told_to_stop_lets_its_listeners_go(
    service: Service, another_api: Connect
) -> None:
    client = another_api()
    job_id = posted(service, FOR_EVER)
    waiting = ThreadPoolExecutor(1)
    with waiting, opened(client, job_id) as stream:
        found = [next(stream) for _ in range(4)]
        answer = waiting.submit(client.get, f"/v1/jobs/{job_id}?wait=60")
        time.sleep(0.3)
        listening_at(service, client.base_url.port).terminate()
        began = time.monotonic()
        found += stream
        assert time.monotonic() - began < 3
        assert answer.result(3).json()["state"] == "running"
    assert "end" not in {frame.type for frame in found}
    service.http.post(f"/v1/jobs/{job_id}/cancel")
    with opened(service.http, job_id, found[-1].number) as stream:
        found += stream
    holds(found)
    assert len(points(found)) == len(metrics(service, job_id)["series"]["loss"]["value"])


def test_who_does_not_listen_holds_up_nobody(service: Service) -> None:
    job_id = posted(service, FOR_EVER)
    address = httpx2.URL(service.url)
    request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n"
    request += f"Authorization: Bearer {service.key}\r\nAccept: text/event-stream\r\n\r\n"
    found: list[Frame] = []
    with ExitStack() as stack:
        for _ in range(5):
            deaf = stack.enter_context(socket.create_connection((address.host, address.port or 0)))
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(request.encode())
        stream = stack.enter_context(opened(service.http, job_id))
        while len(points(found)) < 5000:
            found.append(next(stream))
        recorded = service.http.get(f"/v1/jobs/{job_id}").json()["progress"]["iteration"]
        assert len(points(found)) > 0.5 * recorded
    service.http.post(f"/v1/jobs/{job_id}/cancel")


def listening_at(service: Service, port: int | None) -> psutil.Process:
    """The API process behind a port."""
    (found,) = [
        process
        for process in service.tree()
        if any(c.laddr.port == port and c.status == "LISTEN" for c in process.net_connections())
    ]
    return found
