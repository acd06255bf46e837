"""What a hint says: the ids of jobs, and how far each has come. No data of anybody's."""

from typing import NamedTuple

from pydantic import TypeAdapter


class Counters(NamedTuple):
    """How many losses of a job are durable, and how many entries its log has, at least."""

    iteration: int = 0
    events: int = 0

    def max(self, other: "Counters") -> "Counters":
        """The larger of each."""
        return Counters(max(self.iteration, other.iteration), max(self.events, other.events))

    def cover(self, other: "Counters") -> bool:
        """Whether nothing of the other is larger."""
        return self.iteration >= other.iteration and self.events >= other.events

    def grown(self, before: "Counters") -> "Counters":
        """Those that are larger than before; 0 for the others."""
        return Counters(
            self.iteration if self.iteration > before.iteration else 0,
            self.events if self.events > before.events else 0,
        )


Hint = dict[str, Counters | None]
"""By the id of a job; ``None``: the job is gone."""

JSON = TypeAdapter(Hint)


def encoded(hint: Hint) -> bytes:
    """As it is sent."""
    return JSON.dump_json(hint)


def decoded(message: bytes) -> Hint:
    """What was sent; raises ``ValueError`` when it is no hint."""
    return JSON.validate_json(message)


def channel(database: int) -> str:
    """Where hints are published. Redis keeps channels apart by their name alone, so it has the
    number of the database: two deployments may share a Redis."""
    return f"fallline.hints.{database}"
