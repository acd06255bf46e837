"""The life of a job: its states, and every arrow between them by name.

    queued ── claim ──▶ running ── succeed ──▶ succeeded
                           │ ───── fail ─────▶ failed
                           │ ───── cancel ───▶ cancelled   (also of queued, pausing, paused)
                         pause
                           ▼
    queued ◀─ resume ─ paused ◀─ rest ─ pausing

What is drawn here and in docs/jobs.md is this table. Whatever is not an arrow is a conflict; no
arrow leaves a terminal state, and the database refuses one as well (migration 0002).
"""

from enum import StrEnum
from typing import NamedTuple

from app.errors import Conflict


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


QUEUED, RUNNING, PAUSING, PAUSED, SUCCEEDED, FAILED, CANCELLED = JobState
TERMINAL = (SUCCEEDED, FAILED, CANCELLED)
ACTIVE = (QUEUED, RUNNING, PAUSING, PAUSED)
HELD = (RUNNING, PAUSING)
"""A worker holds the lease."""


class Transition(NamedTuple):
    """A change of state: where it leads from each state that it leaves, and when it is taken."""

    steps: dict[JobState, JobState]
    when: str
    done: str

    @property
    def sources(self) -> tuple[JobState, ...]:
        """The states it leaves."""
        return tuple(self.steps)


TRANSITIONS = {
    "claim": Transition({QUEUED: RUNNING}, "a worker takes the job", "claimed"),
    "pause": Transition({QUEUED: PAUSED, RUNNING: PAUSING}, "on request", "paused"),
    "rest": Transition({PAUSING: PAUSED}, "its worker has saved its state", "put to rest"),
    "resume": Transition({PAUSED: QUEUED}, "on request", "resumed"),
    "release": Transition(
        {RUNNING: QUEUED, PAUSING: PAUSED}, "its worker is shut down and gives it back", "released"
    ),
    "lose": Transition(
        {RUNNING: QUEUED, PAUSING: PAUSED}, "its worker died or its lease expired", "taken back"
    ),
    "succeed": Transition(
        {RUNNING: SUCCEEDED, PAUSING: SUCCEEDED}, "the last update was made", "finished"
    ),
    "fail": Transition({RUNNING: FAILED, PAUSING: FAILED}, "it cannot go on", "failed"),
    "cancel": Transition(dict.fromkeys(ACTIVE, CANCELLED), "on request, at once", "cancelled"),
}
ON_REQUEST = ("pause", "resume", "cancel")


def next_state(arrow: str, state: str) -> JobState:
    """Where an arrow leads from a state; raises ``Conflict`` where there is no such arrow."""
    steps = TRANSITIONS[arrow].steps
    if state not in steps:
        raise Conflict(
            f"a job that is {state} cannot be {TRANSITIONS[arrow].done}{possible(state)}"
        )
    return steps[JobState(state)]


def possible(state: str) -> str:
    """The end of a refusal: what can be asked of a job in this state."""
    known = [TRANSITIONS[name].done for name in ON_REQUEST if state in TRANSITIONS[name].steps]
    if not known:
        return "; it has ended, and what has ended stays as it is"
    return f"; it can be {' or '.join(known)}"
