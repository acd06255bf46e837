"""What is remembered of an event stream, so that a broken one goes on where it was; no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import httpx2

from fallline.http.request import Request
from fallline.jsonable import Json
from fallline.types import Event, Points, event_of, points_of


@dataclass
class EventCursor:
    """The place in the stream of one job's events: the last id, and the last point of each series.

    The service replays what follows the last id. A frame of points may overlap one that was read
    before the stream broke: what is known already is left out.
    """

    path: str
    last_id: str | None = None
    seen: dict[str, int] = field(default_factory=dict)

    def request(self, timeout: float) -> Request:
        """The request for what comes next."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        return Request("GET", self.path, headers=headers, timeout=timeout)

    def take(self, frame: httpx2.ServerSentEvent) -> Event | None:
        """A frame as an event; None for one that says nothing, or nothing new."""
        if not frame.data:  # only how the stream is to be read
            return None
        document = json.loads(frame.data)
        event = (
            self._measured(document) if frame.event == "metrics" else self._told(frame, document)
        )
        if frame.event == "metrics" and not event.points:
            return None
        if self._is_old(event.sequence):
            return None
        self.last_id = frame.id or self.last_id
        return event

    def _measured(self, document: Json) -> Event:
        new = self._new(points_of(document.get("series", {})))
        return Event("metrics", iteration=document.get("iteration"), points=new, raw=document)

    def _told(self, frame: httpx2.ServerSentEvent, document: Json) -> Event:
        if "type" in document:
            return event_of(document)
        return Event(frame.event, data=document, raw=document)

    def _is_old(self, sequence: int | None) -> bool:
        if sequence is None or self.last_id is None or not self.last_id.isdecimal():
            return False
        return sequence <= int(self.last_id)

    def _new(self, series: dict[str, Points]) -> dict[str, Points]:
        new = {name: points.past(self.seen.get(name, -1)) for name, points in series.items()}
        new = {name: points for name, points in new.items() if points.iterations}
        self.seen |= {name: points.iterations[-1] for name, points in new.items()}
        return new
