"""An HTTP server that answers by script, for what the real service does only on a bad day."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One scripted answer; a body that is no text is sent as JSON.

    `cut`: the connection breaks after the body, although more was announced; a status of 0: it
    breaks without any answer.
    """

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


NO_ANSWER = Answer(0)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    line: str
    headers: Message
    body: bytes


@dataclass
class Script:
    """Answers by "METHOD path", given in turn, the last for ever; and what was asked, in order."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """The request lines."""
        return [request.line for request in self.requests]

    def header(self, name: str) -> list[str | None]:
        """One header of each request."""
        return [request.headers.get(name) for request in self.requests]

    def answer(self, request: Asked) -> Answer:
        self.requests.append(request)
        turns = self.answers[request.line.partition("?")[0]]
        return turns.pop(0) if len(turns) > 1 else turns[0]


@contextmanager
def served(script: Script) -> Iterator[Script]:
    """Serve the script on a free port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(f"{self.command} {self.path}", self.headers, body)
            self.reply(script.answer(asked))

        def reply(self, answer: Answer) -> None:
            self.close_connection = answer.cut or not answer.status
            if not answer.status:
                return
            is_text = isinstance(answer.body, str)
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            kind = "text/html" if is_text else "application/json"
            length = len(body.encode()) + answer.cut
            self.send_response_only(answer.status)
            headers = {"Content-Type": kind, "Content-Length": str(length), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def job(state: str, **more: object) -> Answer:
    """A job document with what every one has."""
    progress = {"iteration": 0, "iterations": 10, "epoch": 0, "fraction": 0, "eta_seconds": None}
    values = {"latest": {}, "best": {}, "result": None, "progress": progress}
    who = {"id": "job_1", "name": "a job", "created_at": "2026-01-02T03:04:05.678Z", "spec": {}}
    return Answer(200, {**who, "state": state, **values, **more})
