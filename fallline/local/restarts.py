"""Parts of a running service that end are started again: after 1, 2, 4 … 30 s, but not for ever."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from typing import NamedTuple

from fallline.errors import StartFailed
from fallline.local.processes import Process, last_lines

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 30.0
# Who has lived so long did not die of its start: the delays begin anew.
LONG_LIFE_SECONDS = 60.0
MAX_END_COUNT = 5
MAX_ENDS_WITHIN_SECONDS = 60.0

TITLES = {"redis": "Redis", "api": "The API", "worker": "The worker"}


class Backoff:
    """The delays before the restarts of one part."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=MAX_END_COUNT)
        self._delay = 0.0

    def next_delay(self, lived_seconds: float, now: float) -> float | None:
        """Seconds to wait after an end at `now`; None if it was the last one that is put up with.

        `lived_seconds` is how long the part has run, `now` a moment of the monotonic clock.
        """
        self._ends.append(now)
        if len(self._ends) == MAX_END_COUNT and now - self._ends[0] <= MAX_ENDS_WITHIN_SECONDS:
            return None
        if lived_seconds >= LONG_LIFE_SECONDS:
            self._delay = 0.0
        self._delay = min(max(FIRST_DELAY_SECONDS, 2 * self._delay), MAX_DELAY_SECONDS)
        return self._delay


class Waiting(NamedTuple):
    """A part that has ended, and when it is started again by the monotonic clock."""

    part: Process
    due_at: float


class Restarts:
    """Watches `parts`, the running ones by their names, and starts again those that end.

    `start` is given a name and enters the new process in `parts`, or raises `OSError`. `say` is
    told in a sentence what has ended, and what was started again.
    """

    def __init__(
        self, parts: dict[str, Process], start: Callable[[str], None], say: Callable[[str], None]
    ) -> None:
        self._parts = parts
        self._start = start
        self._say = say
        self._waiting: dict[str, Waiting] = {}
        self._backoffs: defaultdict[str, Backoff] = defaultdict(Backoff)

    def look(self, now: float) -> None:
        """One look at all parts, at a moment of the monotonic clock; never waits.

        Raises `StartFailed`, with the end of its log, if a part has ended too often.
        """
        for part in list(self._parts.values()):
            if not part.alive:
                self.end(part, part.how_it_ended(), now)
        for name, (part, due_at) in list(self._waiting.items()):
            if now >= due_at:
                del self._waiting[name]
                self._start_again(part, now)

    def end(self, part: Process, how: str, now: float) -> None:
        """Enter that a part has ended, or is of no use any more and ends here; `how` says which.

        Raises `StartFailed` if that was once too often.
        """
        part.kill()  # what is left of its process group may hold its port or a lock
        del self._parts[part.name]
        self._postpone(part, how, lived_seconds=now - part.started_at, now=now)

    def _start_again(self, part: Process, now: float) -> None:
        try:
            self._start(part.name)
        except OSError as error:  # no memory or no room on the disk, for now
            self._postpone(part, f"cannot be started: {error.strerror}", lived_seconds=0.0, now=now)
        else:
            self._say(f"{TITLES[part.name]} has been started again.")

    def _postpone(self, part: Process, how: str, *, lived_seconds: float, now: float) -> None:
        delay = self._backoffs[part.name].next_delay(lived_seconds, now)
        if delay is None:
            raise StartFailed(
                f"{part.name} {how}, the {MAX_END_COUNT}th end within "
                f"{MAX_ENDS_WITHIN_SECONDS:g} s. {last_lines(part.log)}"
            )
        self._waiting[part.name] = Waiting(part, now + delay)
        self._say(f"{TITLES[part.name]} {how}. It is started again in {delay:g} s.")
