"""A proxy between a process and a server, both on unix sockets, that can be told to misbehave."""

import selectors
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "drop", "deaf", "mute", "reset"]
"""``drop``: nothing goes through either way, connections stay; ``deaf``: the server hears nothing;
``mute``: nothing comes back from it; ``reset``: every connection breaks, and every new one."""

CHUNK = 65536


class Proxy:
    """Listens at ``path`` for the server at ``behind``; ``delay``: seconds that bytes wait."""

    def __init__(self, path: Path, behind: Path) -> None:
        self.path = path
        self.behind = behind
        self.mode: Mode = "pass"
        self.delay = 0.0
        self.over = threading.Event()
        self.pairs: set[tuple[socket.socket, socket.socket]] = set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(100)
        self.threads = [threading.Thread(target=self.accept, name="proxy", daemon=True)]
        self.threads[0].start()

    def tell(self, mode: Mode) -> None:
        """From now on it behaves so; ``reset`` also breaks what is open."""
        self.mode = mode
        if mode == "reset":
            self.sever()

    def sever(self) -> None:
        """Breaks every open connection."""
        for pair in list(self.pairs):
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """The thread that takes connections."""
        while not self.over.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.mode == "reset":
                    raise ConnectionRefusedError
                server.connect(str(self.behind))
            except OSError:
                client.close()
                server.close()
                continue
            self.pairs.add((client, server))
            pump = threading.Thread(target=self.pump, args=(client, server), daemon=True)
            pump.start()
            self.threads.append(pump)

    def pump(self, client: socket.socket, server: socket.socket) -> None:
        """Bytes both ways, as the mode allows, until one side is gone."""
        with selectors.DefaultSelector() as ready, suppress(OSError):
            ready.register(client, selectors.EVENT_READ, (server, ("drop", "deaf")))
            ready.register(server, selectors.EVENT_READ, (client, ("drop", "mute")))
            while not self.over.is_set():
                for key, _ in ready.select(timeout=0.2):
                    other, forbids = key.data
                    while self.mode in forbids and not self.over.wait(0.02):
                        pass
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = source.recv(CHUNK)
                    if not data:
                        raise ConnectionResetError
                    time.sleep(self.delay)
                    other.sendall(data)
        for end in (client, server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.pairs.discard((client, server))

    def close(self) -> None:
        """Ends all of it."""
        self.over.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.sever()
        for thread in self.threads:
            thread.join(timeout=5)
        self.path.unlink(missing_ok=True)
