"""The exit codes of the command line."""

from __future__ import annotations

from fallline.errors import ApiError, FalllineError, JobFailed, Unreachable

FAILED = 1
USAGE = 2
JOB_FAILED = 3
REFUSED = 4
UNREACHABLE = 5
INTERRUPTED = 130

MEANINGS = {
    0: "done",
    FAILED: "the service, or its start, failed",
    USAGE: "wrong usage, or a file that cannot be read",
    JOB_FAILED: "a watched job ended as failed or cancelled",
    REFUSED: "the service refused: wrong specification, unknown id, no permission",
    UNREACHABLE: "no answer from the service",
    INTERRUPTED: "Ctrl-C or kill; a job that was watched goes on",
}


def code_of(error: FalllineError) -> int:
    """The exit code that an error of ours ends the command line with."""
    if isinstance(error, JobFailed):
        return JOB_FAILED
    if isinstance(error, Unreachable):
        return UNREACHABLE
    if isinstance(error, ApiError) and error.status < 500:
        return REFUSED
    return FAILED


def table() -> str:
    """The codes and their meanings, one a line."""
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
