"""Looking on while a job trains: progress on stderr, until it has ended or Ctrl-C detaches."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console

from fallline.resources.job import Job
from fallline.terminal import exit_codes
from fallline.terminal.output import printable
from fallline.terminal.screen import Advance, Screen
from fallline.types import Event


def watched(job: Job) -> Job:
    """The job once it has ended. Ctrl-C leaves it alone and ends the command."""
    screen = Screen(Console(stderr=True, highlight=False, emoji=False))
    hint = "" if job.ended else "; Ctrl-C stops watching, not the job"
    typer.echo(f"{job.id} is {job.state}{hint}.", err=True)
    try:
        with screen.progress(job.progress.iterations) as advance:
            look_on(job, screen, advance)
        return job.wait()
    except KeyboardInterrupt:
        typer.echo(
            f"\nDetached; the job goes on. Watch it again: fallline jobs watch {job.id}", err=True
        )
        raise typer.Exit(exit_codes.INTERRUPTED) from None


def look_on(job: Job, screen: Screen, advance: Advance) -> None:
    """Move the bar with the losses among the job's events, and tell the others, until its end."""
    for event in job.events():
        if (losses := event.points.get("loss")) is not None:
            advance(losses.iterations[-1] + 1, losses.values[-1])
        elif (told := remark(event)) is not None:
            screen.say(told)


def remark(event: Event) -> str | None:
    """What is worth saying about an event, in a line."""
    data = event.data
    if event.type == "state":
        reason = f": {data['reason']}" if data.get("reason") else ""
        return printable(f"{data.get('state')}{reason}")
    if event.type == "intervention":
        return printable(intervened(data["iteration"], data["changes"]))
    if event.type == "finding":
        return printable(f"finding at iteration {data.get('iteration')}: {data.get('finding')}")
    return None


def intervened(iteration: int, changes: Mapping[str, Any]) -> str:
    """What was changed of a job, and from where on."""
    made = ", ".join(f"{name} = {value}" for name, value in changes.items())
    return f"from iteration {iteration} on: {made}"


def concluded(job: Job) -> None:
    """End the command with the code for a job that has not succeeded, and say why on stderr."""
    if job.succeeded:
        return
    why = f": {job.error.message}" if job.error else ""
    typer.echo(f"{job.id} ended as {job.state}{why}", err=True)
    sys.stdout.flush()
    raise typer.Exit(exit_codes.JOB_FAILED)
