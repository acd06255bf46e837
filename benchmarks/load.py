"""Clients that each ask again as soon as they are answered; they cost less than any server.

    python -m benchmarks.load HOST PORT CONNECTIONS SECONDS CORE < requests

reads requests (pickled bytes, whole HTTP/1.1 requests), sends them in turn over kept connections
and writes what came back: one thread over epoll, some ten microseconds a request, so that a server
that has a core to itself is what is measured.
"""

import os
import pickle
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Load(NamedTuple):
    """What clients saw: requests a second, the latencies' percentiles in milliseconds, and the body
    of the first answer to each request (``None``: there was no time for one)."""

    rate: float
    median: float
    p99: float
    answers: list[bytes | None]


def load(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, core: int
) -> Load:
    """The same from a process of its own, pinned to a core."""
    command = [sys.executable, "-m", "benchmarks.load", "127.0.0.1"]
    numbers = [str(n) for n in (port, connections, seconds, core)]
    done = subprocess.run(
        [*command, *numbers], input=pickle.dumps(list(requests)), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found: Load = Load(*pickle.loads(done.stdout))  # noqa: S301 -- our own child wrote it
    return found


class Client:
    """One connection, and the request that it waits for."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = 0
        self.began = 0.0
        self.seen = b""


def storm(
    host: str, port: int, requests: Sequence[bytes], connections: int, seconds: float
) -> Load:
    """Asks until the time is up."""
    clients = {c.socket.fileno(): c for c in (Client(host, port) for _ in range(connections))}
    poll = select.epoll()
    answers: dict[int, bytes] = {}
    taken: list[float] = []
    turn, count, clock = 0, len(requests), time.perf_counter
    began = clock()
    until = began + seconds
    for descriptor, client in clients.items():
        poll.register(descriptor, select.EPOLLIN)
        client.asked, client.began = turn, clock()
        client.socket.sendall(requests[turn])
        turn = (turn + 1) % count
    while clock() < until:
        for descriptor, _ in poll.poll(1):
            client = clients[descriptor]
            client.seen += client.socket.recv(65536)
            body = whole(client.seen)
            if body is None:
                continue
            now = clock()
            taken.append(now - client.began)
            if client.asked not in answers:
                answers[client.asked] = body
            client.seen = b""
            client.asked, client.began = turn, now
            client.socket.sendall(requests[turn])
            turn = (turn + 1) % count
    assert taken, "nothing was answered in time"
    rate = len(taken) / (clock() - began)
    median, p99 = (1000 * float(p) for p in np.percentile(taken, (50, 99)))
    return Load(rate, median, p99, [answers.get(i) for i in range(count)])


def whole(seen: bytes) -> bytes | None:
    """The body of an answer, once all of it is here; whatever is no 200 ends the measurement."""
    head = seen.find(b"\r\n\r\n")
    if head < 0:
        assert seen, "the server hung up"
        return None
    assert seen.startswith(b"HTTP/1.1 200"), seen
    at = seen.lower().index(b"content-length:", 0, head) + len(b"content-length:")
    size = int(seen[at : seen.index(b"\r", at)])
    body = seen[head + 4 :]
    return body if len(body) == size else None


if __name__ == "__main__":
    host, port, connections, seconds, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    asked = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 -- our own parent wrote it
    seen = storm(host, int(port), asked, int(connections), float(seconds))
    sys.stdout.buffer.write(pickle.dumps(tuple(seen)))
