"""A TCP proxy that hands each connection to the next of several servers, as a balancer does."""

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress


@contextmanager
def round_robin(ports: Sequence[int]) -> Iterator[str]:
    """The address of a proxy in front of servers on loopback; one that is away is passed over."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as door:
        turns = itertools.cycle(ports)
        thread = threading.Thread(target=serve, args=(door, turns, len(ports)), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        door.shutdown(socket.SHUT_RDWR)  # wakes the thread, which then ends
        thread.join()


def serve(door: socket.socket, turns: Iterator[int], servers: int) -> None:
    while True:
        try:
            client, _ = door.accept()
        except OSError:
            return
        server = connected(turns, servers)
        if server is None:
            client.close()
            continue
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def connected(turns: Iterator[int], servers: int) -> socket.socket | None:
    for port in itertools.islice(turns, servers):
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
    return None


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes one way, until either side is gone; then both are."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
