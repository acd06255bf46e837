"""What can go wrong, as seen from a client.

FalllineError           catch this one and its sentence is fit to print
├── ApiError            the service answered with a problem (RFC 9457)
├── Unreachable         no answer: no service there, or it did not answer in time
├── JobFailed           a job that should have succeeded did not
├── WaitedEnough        a job had not ended when the time was up; it goes on
├── TaskFailed          a task that was accepted (202) ended without a result
└── StartFailed         the embedded service could not start, or a part of it kept dying
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class FalllineError(Exception):
    """The base of every error of this package; `str(error)` is written for a person."""


@dataclass(frozen=True)
class Mistake:
    """One entry of a problem's `errors`: where in the request body, and what is wrong there."""

    pointer: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '(the whole body)'}: {self.message}"


class ApiError(FalllineError):
    """The service refused: the problem document, with every mistake it named.

    `status` is the HTTP status, `code` the stable word for the kind of problem, `detail` the
    sentence, `errors` every mistake with its JSON Pointer, `problem` the whole document.
    `retry_after` is how many seconds the service asks to wait, 0 if it does not.
    """

    def __init__(
        self, status: int, problem: Mapping[str, Any], *, retry_after: float = 0.0
    ) -> None:
        self.status = status
        self.retry_after = retry_after
        self.problem = dict(problem)
        self.code = str(problem.get("code") or f"http_{status}")
        self.detail = str(problem.get("detail") or problem.get("title") or "No detail was given.")
        self.errors = mistakes(problem.get("errors") or ())
        self.request_id: str | None = problem.get("request_id")
        super().__init__(self.sentence())

    def sentence(self, most: int | None = None) -> str:
        """The detail and status on one line, then one line for each mistake, or for the first ones.

        A fault of the service's names its request id, which its log has beside the cause.
        """
        request = f", {self.request_id}" if self.status >= 500 and self.request_id else ""
        head = f"{self.detail} ({self.status} {self.code}{request})"
        told = self.errors[:most]
        left = len(self.errors) - len(told)
        more = [f"  and {left} more"] if left else []
        return "\n".join([head, *(f"  {mistake}" for mistake in told), *more])


class Unreachable(FalllineError):
    """No answer came from `url`."""

    def __init__(self, url: str, why: str) -> None:
        self.url = url
        self.why = why
        super().__init__(
            f"Cannot reach Fallline at {url}: {why}. Is it running (`fallline up`)? "
            "FALLLINE_URL, or FALLLINE_HOST and FALLLINE_PORT, say where it is looked for."
        )


class JobFailed(FalllineError):
    """A job ended, but not as `succeeded`; `job` is its id, `state` how it ended."""

    def __init__(self, job: str, state: str, why: str | None) -> None:
        self.job = job
        self.state = state
        super().__init__(f"The job {job} ended as {state}: {why or 'no reason was given'}")


class WaitedEnough(FalllineError):
    """A job had not ended when the time was up; nothing happened to it."""

    def __init__(self, job: str, state: str, seconds: float) -> None:
        self.job = job
        self.state = state
        super().__init__(f"The job {job} is still {state} after {seconds:g} s")


class TaskFailed(FalllineError):
    """A task ended as `failed`; `error` is what the service said about it."""

    def __init__(self, task: str, error: Mapping[str, Any] | str | None) -> None:
        self.task = task
        self.error = error
        why = error.get("message") or error.get("detail") if isinstance(error, Mapping) else error
        super().__init__(f"Task {task} failed: {why or 'the service gave no reason'}")


class StartFailed(FalllineError):
    """The embedded service did not start, or a part of it died again and again; nothing of it is
    left running."""


def mistakes(errors: Sequence[Mapping[str, Any]]) -> tuple[Mistake, ...]:
    """The `errors` list of a problem document as `Mistake`s."""
    return tuple(
        Mistake(str(e.get("pointer", "")), str(e.get("code", "")), str(e.get("message", "")))
        for e in errors
    )
