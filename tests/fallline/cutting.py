"""A way to the service that breaks: a proxy of TCP that cuts what comes back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Line:
    """Each connection ends after `limits` bytes of answers, in turn; without one left it holds."""

    target: tuple[str, int]
    limits: list[int]
    url: str = ""
    cuts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def limit(self) -> int | None:
        with self.lock:
            return self.limits.pop(0) if self.limits else None

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            asking = threading.Thread(target=pump, args=(client, server, None), daemon=True)
            asking.start()
            if pump(server, client, self.limit()):
                self.cuts += 1
            for end in (client, server):
                # A close alone would wait for the other thread, which reads from it.
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()


def pump(source: socket.socket, sink: socket.socket, limit: int | None) -> bool:
    """Pass bytes on until one side is gone, or the limit is reached: then True."""
    passed = 0
    try:
        while data := source.recv(1024):
            if limit is not None and passed + len(data) > limit:
                sink.sendall(data[: limit - passed])
                return True
            sink.sendall(data)
            passed += len(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side was faster
    return False


@contextmanager
def cutting(url: str, limits: list[int]) -> Iterator[Line]:
    """A line to the service at `url` while the block runs."""
    where = urlsplit(url)
    assert where.hostname
    assert where.port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line((where.hostname, where.port), limits)
        line.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return  # the block has ended
                threading.Thread(target=line.serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
