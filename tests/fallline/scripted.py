"""An HTTP server that answers by script, for what the real service does only on a bad day."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One scripted answer; a body that is no text is sent as JSON."""

    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """Answers by "METHOD path", given in turn, the last for ever; and what was asked, in order."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def answer(self, request: str) -> Answer:
        self.asked.append(request)
        turns = self.answers[request.partition("?")[0]]
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
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.keys.append(self.headers.get("Authorization"))
            self.reply(script.answer(f"{self.command} {self.path}"))

        def reply(self, answer: Answer) -> None:
            is_text = isinstance(answer.body, str)
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            kind = "text/html" if is_text else "application/json"
            self.send_response(answer.status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}
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
