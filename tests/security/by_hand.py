"""Requests as no decent client makes them, and a look at how the service bears them."""

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

import httpx2
import psutil

from tests.service import Service

log = logging.getLogger(__name__)

SOON = 2.0
"""Seconds within which whatever is odd is refused."""


class Answer(NamedTuple):
    """What came back, and after how many seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


def head(service: Service, request_line: str, **headers: str) -> bytes:
    """The head of a request by the owner of the service; ``_`` in a name stands for ``-``."""
    url = httpx2.URL(service.url)
    given = {"Host": f"{url.host}:{url.port}", "Authorization": f"Bearer {service.key}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{request_line} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def asked(service: Service, *pieces: bytes, every: float = 0.0) -> Answer:
    """The answer to bytes sent as they are; stops sending when there is one."""
    url = httpx2.URL(service.url)
    began = time.monotonic()
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        answered = threading.Event()

        def send() -> None:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                if answered.wait(every):
                    return

        sender = threading.Thread(target=send)
        sender.start()
        try:
            response = http.client.HTTPResponse(connection)
            response.begin()
            body = response.read()
            seconds = time.monotonic() - began
        finally:
            answered.set()
            sender.join()
    return Answer(response.status, dict(response.getheaders()), body, seconds)


class Watched:
    """How the API process fares meanwhile: the time of ``/healthz``, the memory it takes."""

    def __init__(self, service: Service) -> None:
        self.api = psutil.Process(service.processes[0].pid)
        self.http = httpx2.Client(base_url=service.url, trust_env=False, timeout=10)
        self.ended = threading.Event()
        self.seconds: list[float] = []
        self.before: int = self.api.memory_info().rss
        self.most: int = self.before
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            assert self.http.get("/healthz").status_code == 200
            self.seconds.append(time.monotonic() - began)
            self.most = max(self.most, self.api.memory_info().rss)
            self.ended.wait(0.02)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()
        self.http.close()

    @property
    def grown(self) -> int:
        """Bytes of memory beyond those of the beginning, at the worst moment."""
        return self.most - self.before

    def report(self) -> None:
        """How long ``/healthz`` took: to be read with ``pytest -rP --log-level=info``."""
        taken = sorted(self.seconds)
        p99 = 1000 * taken[int(0.99 * (len(taken) - 1))]
        log.info("/healthz n=%d p99=%.0f ms, grown %d MiB", len(taken), p99, self.grown >> 20)
        assert taken[-1] < SOON


@contextmanager
def at_once(calls: list[Callable[[], Answer]]) -> Iterator[list[Answer]]:
    """The answers to several requests at the same time, once the block ends."""
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join()
