"""How an attempt at a job ends: an arrow of its life, why, and what is said of the job with it.

The supervisor reads this too: no torch here.
"""

from dataclasses import dataclass, field
from typing import Any

from app.tables import Job


@dataclass(frozen=True)
class AttemptEnd:
    """``arrow`` of ``app.job_state``; ``values``: columns of the job."""

    arrow: str
    reason: str | None
    values: dict[str, Any] = field(default_factory=dict)


RELEASED = AttemptEnd("release", "its worker was shut down", {"attempts": Job.attempts - 1})
"""Without having used an attempt: the worker is told to stop, the job is not."""
PAUSED = AttemptEnd("rest", "paused on request")
GROUP_TOO_LARGE = AttemptEnd("release", "its group was too large", RELEASED.values)


def failed(
    category: str, code: str, message: str, iteration: int, *, retryable: bool = False
) -> AttemptEnd:
    """The job ends here, and says why."""
    error = {
        "category": category,
        "code": code,
        "message": message,
        "retryable": retryable,
        "iteration": iteration,
    }
    return AttemptEnd("fail", code, {"error": error})


def out_of_time(seconds: float, iteration: int, iterations: int) -> AttemptEnd:
    """What it has come to is saved."""
    message = (
        f"the job ran for its limit of {seconds:g} s and came to iteration {iteration} of "
        f"{iterations}; a retry goes on from there"
    )
    return failed("timeout", "time_limit", message, iteration, retryable=True)


def crash_loop(iteration: int) -> AttemptEnd:
    """Two workers died at the same place."""
    message = f"two workers died at iteration {iteration}; the job probably needs more memory"
    return failed("resource", "out_of_memory_suspected", message, iteration)
