"""`fallline jobs metrics` and `… events`: what a job has recorded, and what befell it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from fallline.commands.connection import connected
from fallline.commands.watch import remark
from fallline.resources.job import JobRef
from fallline.terminal.output import Form, OutputOption, Printer, Row, plain
from fallline.types import Event, Metrics, Points

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]


def metrics(
    job: JobArgument,
    series: Annotated[str, typer.Option(help="Names, with commas.")] = "loss",
    after: Annotated[int | None, typer.Option(help="Only iterations after this one.")] = None,
    before: Annotated[int | None, typer.Option(help="Only iterations before this one.")] = None,
    points: Annotated[
        int | None, typer.Option(min=1, help="The extremes of so many buckets.")
    ] = None,
    smooth: Annotated[float | None, typer.Option(help="0…1: how much to average.")] = None,
    output: OutputOption = Form.CSV,
) -> None:
    """Print series of a job: every iteration, or a picture's worth of points."""
    asked: dict[str, Any] = {
        "series": series.split(","),
        "before": before,
        "points": points,
        "smooth": smooth,
    }
    with connected() as client:
        pages = pages_of(client.jobs.at(job), asked, after)
        Printer(output).rows(itertools.chain.from_iterable(map(iterations, pages)))


def pages_of(job: JobRef, asked: dict[str, Any], after: int | None) -> Iterator[Metrics]:
    """The pages of a job's series by now."""
    while True:
        page = job.metrics(**asked, after=after)
        yield page
        if page.next_after is None:
            return
        after = page.next_after


def iterations(page: Metrics) -> Iterator[Row]:
    """A row for each iteration of a page, with what each series has there."""
    values = {name: by_iteration(points) for name, points in page.series.items()}
    for n in sorted(set().union(*values.values())):
        cells = {"iteration": n, **{name: found.get(n) for name, found in values.items()}}
        yield Row({name: spoken(value) for name, value in cells.items()}, cells)


def by_iteration(points: Points) -> dict[int, float]:
    """The values of a series by their iterations."""
    return dict(zip(points.iterations, points.values, strict=True))


def spoken(value: float | None) -> float | str | None:
    """A number as JSON carries it."""
    return plain(value) if isinstance(value, float) and value - value != 0 else value


def events(
    job: JobArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stay until the end; losses come too.")
    ] = False,
    output: Annotated[
        Form | None,
        typer.Option(
            "--output", "-o", help="Default: table; with --follow, jsonl.", show_default=False
        ),
    ] = None,
) -> None:
    """Print what has happened to a job, or what happens while it does."""
    if follow and output in {Form.TABLE, Form.JSON}:
        raise typer.BadParameter("what is followed has no end to wait for: take jsonl or csv")
    form = output or (Form.JSONL if follow else Form.TABLE)
    with connected() as client:
        known = client.jobs.at(job)
        Printer(form).rows(map(happened, known.events() if follow else known.log()))


def happened(event: Event) -> Row:
    """An event as a row of a table."""
    cells = {
        "number": event.sequence,
        "when": event.created_at,
        "iteration": event.iteration,
        "event": event.type,
        "what": remark(event),
    }
    return Row(event.raw, cells)
