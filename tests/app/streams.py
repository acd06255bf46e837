"""How tests listen to server-sent events, and what holds for every stream."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2

from tests.app.talk import Document
from tests.service import Service

STREAM = {"Accept": "text/event-stream"}


class Frame(NamedTuple):
    """One event; ``number`` is the last id that was sent, as a browser remembers it."""

    type: str
    number: int
    data: Any


@contextmanager
def opened(
    client: httpx2.Client, job_id: str, known: int | None = None, **query: Any
) -> Iterator[Iterator[Frame]]:
    """The frames of a stream, from after a number on."""
    seen = {} if known is None else {"Last-Event-ID": str(known)}
    where = f"/v1/jobs/{job_id}/events"
    with client.stream("GET", where, params=query, headers=STREAM | seen) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield frames(answer.iter_lines(), known or 0)


def frames(lines: Iterator[str], number: int = 0) -> Iterator[Frame]:
    """As the standard has it: fields, and an empty line that sends them off."""
    type_, data = "message", ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            type_ = value
        elif field == "data":
            data += value
        elif field == "id":
            number = int(value)
        elif not line and data:
            yield Frame(type_, number, json.loads(data))
            type_, data = "message", ""


def heard(service: Service, job_id: str, known: int | None = None) -> list[Frame]:
    """All frames until the stream ends by itself."""
    with opened(service.http, job_id, known) as stream:
        return list(stream)


def points(found: list[Frame], name: str = "loss") -> dict[int, float | str]:
    """The points of one series, each of which came once and in order."""
    at, values = [], []
    for frame in found:
        if frame.type == "metrics" and name in frame.data["series"]:
            at += frame.data["series"][name]["iteration"]
            values += frame.data["series"][name]["value"]
    assert at == sorted(set(at))
    return dict(zip(at, values, strict=True))


def entries(found: list[Frame]) -> list[Document]:
    """The entries of the log."""
    return [frame.data for frame in found if frame.type not in {"metrics", "end"}]


def holds(found: list[Frame]) -> None:
    """Numbers rise with every frame and say how much was told: each loss and entry is one."""
    numbers = [frame.number for frame in found if frame.type != "end"]
    assert numbers == sorted(set(numbers))
    told = 0
    for frame in found:
        if frame.type == "metrics":
            last = max(frame.data["series"].get("loss", {"iteration": [-1]})["iteration"])
            assert last in {-1, frame.number - told - 1}
        elif frame.type != "end":
            told += 1
            assert frame.data["sequence"] == frame.number


class Listener:
    """A client that comes again, wherever it is sent, until it has heard the end.

    A connection of its own each time: a proxy before several processes has a choice.
    """

    def __init__(self, service: Service, url: str) -> None:
        self.key = service.key
        self.url = url
        self.found: list[Frame] = []
        self.streams = 0

    def listen(self, job_id: str, patience: int = 10**9) -> None:
        """``patience``: frames after which it hangs up by itself, for good measure."""
        while not self.found or self.found[-1].type != "end":
            known = self.found[-1].number if self.found else 0
            headers = {"Authorization": f"Bearer {self.key}"}
            self.streams += 1
            with httpx2.Client(base_url=self.url, headers=headers, trust_env=False) as client:
                try:
                    with opened(client, job_id, known) as stream:
                        for frame, _ in zip(stream, range(patience), strict=False):
                            self.found.append(frame)
                except httpx2.TransportError:  # the process that spoke is gone
                    time.sleep(0.05)
